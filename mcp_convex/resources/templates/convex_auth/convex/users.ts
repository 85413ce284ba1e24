import { getAuthUserId } from "@convex-dev/auth/server";
import { ConvexError, v } from "convex/values";
import type { Auth } from "convex/server";
import { query } from "./_generated/server";

/** Returns the id of the person who calls. */
export async function requireUserId(ctx: { auth: Auth }) {
  const userId = await getAuthUserId(ctx);
  if (userId === null) {
    throw new ConvexError({ code: "unauthenticated" });
  }
  return userId;
}

/** The person who is signed in, or null. */
export const me = query({
  args: {},
  returns: v.union(v.object({ id: v.id("users"), email: v.optional(v.string()) }), v.null()),
  handler: async (ctx) => {
    const userId = await getAuthUserId(ctx);
    const user = userId === null ? null : await ctx.db.get("users", userId);
    return user === null ? null : { id: user._id, email: user.email };
  },
});
