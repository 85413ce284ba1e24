import { v } from "convex/values";
import { api, internal } from "./_generated/api";
import { internalAction, internalMutation, action } from "./_generated/server";

export const write = action({
  args: { channel: v.id("channels") },
  returns: v.string(),
  handler: async (ctx, { channel }): Promise<string> => {
    const messages: { author: string; body: string }[] = await ctx.runQuery(api.messages.list, { channel });
    const text = messages.map(({ author, body }) => `${author}: ${body}`).join("\n");
    await ctx.runMutation(internal.digests.keep, { channel, text });
    return text;
  },
});

export const keep = internalMutation({
  args: { channel: v.id("channels"), text: v.string() },
  handler: async (ctx, args) => {
    await ctx.db.insert("digests", args);
  },
});

export const writeAll = internalAction({
  args: {},
  handler: async (ctx) => {
    for (const channel of await ctx.runQuery(internal.channels.all, {})) {
      await ctx.runAction(api.digests.write, { channel });
    }
  },
});
