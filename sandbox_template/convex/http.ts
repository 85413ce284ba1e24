import { httpRouter } from "convex/server";
import { internal } from "./_generated/api";
import { httpAction } from "./_generated/server";

const http = httpRouter();

http.route({
  path: "/messages",
  method: "POST",
  handler: httpAction(async (ctx, request) => {
    const { channel, body } = (await request.json().catch(() => null)) ?? {};
    if (typeof channel !== "string" || typeof body !== "string") {
      return Response.json({ error: "Expected a channel and a body." }, { status: 400 });
    }
    const received = await ctx.runMutation(internal.messages.receive, { channel, body });
    return received
      ? Response.json({ received })
      : Response.json({ error: "There is no such channel." }, { status: 404 });
  }),
});

export default http;
