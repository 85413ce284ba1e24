import { httpRouter } from "convex/server";
import { api } from "./_generated/api";
import { httpAction } from "./_generated/server";

const http = httpRouter();

http.route({
  path: "/channels",
  method: "GET",
  handler: httpAction(async (ctx) => {
    const channels = await ctx.runQuery(api.channels.list, {});
    return Response.json(channels.map(({ title, messageCount }) => ({ title, messageCount })));
  }),
});

export default http;
