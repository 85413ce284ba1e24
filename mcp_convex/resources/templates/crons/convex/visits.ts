import { v } from "convex/values";
import { internal } from "./_generated/api";
import { internalMutation, mutation } from "./_generated/server";

const KEPT_MS = 7 * 24 * 60 * 60 * 1000;
const BATCH = 500;

export const add = mutation({
  args: { path: v.string() },
  returns: v.null(),
  handler: async (ctx, { path }) => {
    await ctx.db.insert("visits", { path: path.slice(0, 200) });
    return null;
  },
});

/** Deletes visits after a week, a batch in each transaction. */
export const removeOld = internalMutation({
  args: {},
  returns: v.number(),
  handler: async (ctx) => {
    const old = await ctx.db
      .query("visits")
      .withIndex("by_creation_time", (q) => q.lt("_creationTime", Date.now() - KEPT_MS))
      .take(BATCH);
    for (const visit of old) {
      await ctx.db.delete("visits", visit._id);
    }
    if (old.length === BATCH) {
      await ctx.scheduler.runAfter(0, internal.visits.removeOld, {});
    }
    return old.length;
  },
});
