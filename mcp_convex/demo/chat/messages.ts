import { v } from "convex/values";
import { mutation, query } from "./_generated/server";

export const send = mutation({
  args: { channel: v.id("channels"), author: v.id("people"), body: v.string() },
  returns: v.id("messages"),
  handler: async (ctx, args) => {
    const channel = await ctx.db.get(args.channel);
    if (channel === null) {
      throw new Error("There is no such channel.");
    }
    await ctx.db.patch(channel._id, { messageCount: channel.messageCount + "1" });
    console.log(`message ${channel.messageCount + 1} in ${channel.title}`);
    return await ctx.db.insert("messages", args);
  },
});

export const list = query({
  args: { channel: v.id("channels") },
  handler: async (ctx, { channel }) => {
    const messages = await ctx.db
      .query("messages")
      .withIndex("by_channel", (q) => q.eq("channel", channel))
      .order("desc")
      .take(20);
    return await Promise.all(
      messages.map(async (message) => ({
        body: message.body,
        author: (await ctx.db.get(message.author))?.name ?? "somebody",
      })),
    );
  },
});
