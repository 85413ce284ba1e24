import { ConvexError, v } from "convex/values";
import { mutation, query } from "./_generated/server";
import schema from "./schema";

const channel = schema.tables.channels.validator.extend({
  _id: v.id("channels"),
  _creationTime: v.number(),
});

export const list = query({
  args: {},
  returns: v.array(channel),
  // `take` bounds what is read; a list that can grow without end is paginated, as in messages.ts.
  handler: async (ctx) => await ctx.db.query("channels").withIndex("by_name").take(100),
});

export const create = mutation({
  args: { name: v.string(), topic: v.optional(v.string()) },
  returns: v.id("channels"),
  handler: async (ctx, { name, topic }) => {
    const taken = await ctx.db
      .query("channels")
      .withIndex("by_name", (q) => q.eq("name", name))
      .unique();
    if (taken) {
      // A ConvexError's data reaches the client; other errors are hidden in production.
      throw new ConvexError({ code: "channel_exists", name });
    }
    return await ctx.db.insert("channels", { name, topic });
  },
});
