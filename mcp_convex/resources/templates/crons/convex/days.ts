import { v } from "convex/values";
import { internal } from "./_generated/api";
import { internalMutation, query } from "./_generated/server";
import schema from "./schema";

const DAY_MS = 24 * 60 * 60 * 1000;
const BATCH = 2000;

export const latest = query({
  args: {},
  returns: v.array(schema.doc("days")),
  handler: async (ctx) => await ctx.db.query("days").withIndex("by_day").order("desc").take(30),
});

/**
 * Sums up a day, yesterday if none is given, a batch in each transaction.
 *
 * A run that was skipped can be made up for: call it with that day, such as "2026-11-20".
 */
export const close = internalMutation({
  args: { day: v.optional(v.string()), cursor: v.optional(v.string()), counted: v.optional(v.number()) },
  returns: v.null(),
  handler: async (ctx, { day = dayOf(Date.now() - DAY_MS), cursor = null, counted = 0 }) => {
    const begins = Date.parse(day);
    const batch = await ctx.db
      .query("visits")
      .withIndex("by_creation_time", (q) => q.gte("_creationTime", begins).lt("_creationTime", begins + DAY_MS))
      .paginate({ numItems: BATCH, cursor });
    const visits = counted + batch.page.length;
    if (!batch.isDone) {
      const rest = { day, cursor: batch.continueCursor, counted: visits };
      await ctx.scheduler.runAfter(0, internal.days.close, rest);
      return null;
    }
    const known = await ctx.db
      .query("days")
      .withIndex("by_day", (q) => q.eq("day", day))
      .unique();
    if (known === null) {
      await ctx.db.insert("days", { day, visits });
    } else {
      await ctx.db.patch("days", known._id, { visits });
    }
    return null;
  },
});

function dayOf(time: number): string {
  return new Date(time).toISOString().slice(0, 10);
}
