import { v } from "convex/values";
import { internalQuery, mutation, query } from "./_generated/server";

export const open = mutation({
  args: { title: v.string() },
  returns: v.id("channels"),
  handler: (ctx, { title }) => ctx.db.insert("channels", { title, messageCount: 0 }),
});

export const list = query({
  args: {},
  handler: (ctx) => ctx.db.query("channels").withIndex("by_title").take(50),
});

export const all = internalQuery({
  args: {},
  handler: async (ctx) => (await ctx.db.query("channels").take(50)).map((channel) => channel._id),
});
