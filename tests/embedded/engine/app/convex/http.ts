import { httpRouter } from "convex/server";
import { internal } from "./_generated/api";
import { httpAction } from "./_generated/server";

const http = httpRouter();
http.route({
  path: "/notes",
  method: "POST",
  handler: httpAction(async (ctx, request) => {
    await ctx.runMutation(internal.notes.addInternally, { body: await request.text() });
    return new Response(null, { status: 201, headers: { "x-by": "engine" } });
  }),
});
http.route({
  pathPrefix: "/echo/",
  method: "GET",
  handler: httpAction(async (_, request) => new Response(new URL(request.url).pathname)),
});
http.route({
  path: "/throws",
  method: "GET",
  handler: httpAction(async () => {
    throw new Error("no answer");
  }),
});
export default http;
