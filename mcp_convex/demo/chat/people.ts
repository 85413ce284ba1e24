import { v } from "convex/values";
import { mutation } from "./_generated/server";

export const join = mutation({
  args: { name: v.string(), handle: v.string() },
  returns: v.id("people"),
  handler: async (ctx, args) => {
    const known = await ctx.db
      .query("people")
      .withIndex("by_handle", (q) => q.eq("handle", args.handle))
      .unique();
    return known?._id ?? (await ctx.db.insert("people", args));
  },
});
