import { ConvexError, v } from "convex/values";
import { mutation, query, type QueryCtx } from "./_generated/server";
import schema from "./schema";

/** Returns the document of the person who calls. Every function that is not for everybody begins with it. */
export async function requireUser(ctx: QueryCtx) {
  const user = await currentUser(ctx);
  if (user === null) {
    throw new ConvexError({ code: "unauthenticated" });
  }
  return user;
}

async function currentUser(ctx: QueryCtx) {
  const identity = await ctx.auth.getUserIdentity();
  if (identity === null) {
    return null;
  }
  return await ctx.db
    .query("users")
    .withIndex("by_tokenIdentifier", (q) => q.eq("tokenIdentifier", identity.tokenIdentifier))
    .unique();
}

/** The client calls it after each sign-in: adds the person's document, or brings it up to date. */
export const store = mutation({
  args: {},
  returns: v.id("users"),
  handler: async (ctx) => {
    const identity = await ctx.auth.getUserIdentity();
    if (identity === null) {
      throw new ConvexError({ code: "unauthenticated" });
    }
    const { tokenIdentifier, email, name = email ?? "Somebody" } = identity;
    const known = await currentUser(ctx);
    if (known === null) {
      return await ctx.db.insert("users", { tokenIdentifier, name, email });
    }
    if (known.name !== name || known.email !== email) {
      await ctx.db.patch("users", known._id, { name, email });
    }
    return known._id;
  },
});

/** The person who is signed in; null until `store` was called. */
export const me = query({
  args: {},
  returns: v.union(schema.doc("users"), v.null()),
  handler: async (ctx) => await currentUser(ctx),
});

export const setStatus = mutation({
  args: { status: v.string() },
  returns: v.null(),
  handler: async (ctx, { status }) => {
    const user = await requireUser(ctx);
    await ctx.db.patch("users", user._id, { status });
    return null;
  },
});
