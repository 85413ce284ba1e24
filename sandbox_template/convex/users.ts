import { v } from "convex/values";
import { mutation, query } from "./_generated/server";
import schema from "./schema";

const user = schema.tables.users.validator.extend({
  _id: v.id("users"),
  _creationTime: v.number(),
});

/** Returns the user with that email, created if there was none. */
export const signUp = mutation({
  args: { name: v.string(), email: v.string() },
  returns: v.id("users"),
  handler: async (ctx, { name, email }) => {
    const known = await ctx.db
      .query("users")
      .withIndex("by_email", (q) => q.eq("email", email))
      .unique();
    return known?._id ?? (await ctx.db.insert("users", { name, email }));
  },
});

export const get = query({
  args: { id: v.id("users") },
  returns: v.union(user, v.null()),
  handler: async (ctx, { id }) => await ctx.db.get("users", id),
});
