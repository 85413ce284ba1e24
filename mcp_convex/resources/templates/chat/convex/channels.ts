import { ConvexError, v } from "convex/values";
import { mutation, query } from "./_generated/server";
import schema from "./schema";

export const list = query({
  args: {},
  returns: v.array(schema.doc("channels")),
  handler: async (ctx) => await ctx.db.query("channels").withIndex("by_name").take(200),
});

export const create = mutation({
  args: { name: v.string() },
  returns: v.id("channels"),
  handler: async (ctx, args) => {
    const name = args.name.trim().toLowerCase();
    if (name === "" || name.length > 40) {
      throw new ConvexError({ code: "bad_name" });
    }
    const taken = await ctx.db
      .query("channels")
      .withIndex("by_name", (q) => q.eq("name", name))
      .unique();
    return taken?._id ?? (await ctx.db.insert("channels", { name }));
  },
});
