import { v } from "convex/values";
import { internal } from "./_generated/api";
import type { Doc, Id } from "./_generated/dataModel";
import { internalMutation, mutation, query, type MutationCtx } from "./_generated/server";

const GONE_AFTER_MS = 30_000;

/** Who is in a room. Sessions stay secret: whoever knows one can end it. */
export const list = query({
  args: { room: v.string() },
  returns: v.array(v.object({ id: v.id("present"), name: v.string() })),
  handler: async (ctx, { room }) => {
    const present = await ctx.db
      .query("present")
      .withIndex("by_room_and_session", (q) => q.eq("room", room))
      .take(100);
    return present.map(({ _id, name }) => ({ id: _id, name }));
  },
});

/** Says that a session is there, for the next thirty seconds; returns its id in the list. */
export const beat = mutation({
  args: { room: v.string(), session: v.string(), name: v.string() },
  returns: v.id("present"),
  handler: async (ctx, { room, session, name }) => {
    const known = await find(ctx, room, session);
    const presentId = known?._id ?? (await ctx.db.insert("present", { room, session, name }));
    const last = await lastBeat(ctx, presentId);
    // A query could not tell by the clock who is gone: it is not run again because time passes. So a mutation says it.
    const endsBy = await ctx.scheduler.runAfter(GONE_AFTER_MS, internal.presence.end, { presentId });
    if (last === null) {
      await ctx.db.insert("beats", { presentId, endsBy });
    } else {
      await ctx.scheduler.cancel(last.endsBy);
      await ctx.db.patch("beats", last._id, { endsBy });
    }
    return presentId;
  },
});

export const leave = mutation({
  args: { room: v.string(), session: v.string() },
  returns: v.null(),
  handler: async (ctx, { room, session }) => {
    const known = await find(ctx, room, session);
    const last = known && (await lastBeat(ctx, known._id));
    if (last !== null) {
      await ctx.scheduler.cancel(last.endsBy);
      await remove(ctx, last);
    }
    return null;
  },
});

export const end = internalMutation({
  args: { presentId: v.id("present") },
  returns: v.null(),
  handler: async (ctx, { presentId }) => {
    const last = await lastBeat(ctx, presentId);
    if (last !== null) {
      await remove(ctx, last);
    }
    return null;
  },
});

async function find(ctx: MutationCtx, room: string, session: string) {
  return await ctx.db
    .query("present")
    .withIndex("by_room_and_session", (q) => q.eq("room", room).eq("session", session))
    .unique();
}

async function lastBeat(ctx: MutationCtx, presentId: Id<"present">) {
  return await ctx.db
    .query("beats")
    .withIndex("by_presentId", (q) => q.eq("presentId", presentId))
    .unique();
}

async function remove(ctx: MutationCtx, last: Doc<"beats">) {
  await ctx.db.delete("beats", last._id);
  await ctx.db.delete("present", last.presentId);
}
