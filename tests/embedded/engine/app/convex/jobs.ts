import { v } from "convex/values";
import { internal } from "./_generated/api";
import { internalAction, internalMutation, mutation, query } from "./_generated/server";

export const later = mutation({
  args: { delay: v.number(), body: v.string() },
  handler: async (ctx, { delay, body }) => await ctx.scheduler.runAfter(delay, internal.notes.addInternally, { body }),
});

export const failLater = mutation({ args: {}, handler: async (ctx) => await ctx.scheduler.runAfter(0, internal.notes.innerThrows, {}) });

export const scheduleThenThrow = mutation({
  args: {},
  handler: async (ctx) => {
    await ctx.scheduler.runAfter(0, internal.notes.addInternally, { body: "never" });
    throw new Error("no");
  },
});

export const hang = internalAction({ args: {}, handler: async () => await new Promise(() => {}) });
export const hangLater = mutation({ args: {}, handler: async (ctx) => await ctx.scheduler.runAfter(0, internal.jobs.hang, {}) });

export const cancel = mutation({ args: { id: v.id("_scheduled_functions") }, handler: async (ctx, { id }) => await ctx.scheduler.cancel(id) });

export const state = query({
  args: { id: v.id("_scheduled_functions") },
  handler: async (ctx, { id }) => (await ctx.db.system.get(id))?.state,
});

export const tick = internalMutation({ args: {}, handler: async (ctx) => await ctx.db.insert("points", { at: [0, 0], kind: "tick" }) });
