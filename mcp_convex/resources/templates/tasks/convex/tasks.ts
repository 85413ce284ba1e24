import { ConvexError, v } from "convex/values";
import { mutation, query, type MutationCtx } from "./_generated/server";
import schema from "./schema";

/** Tasks by due date, those without one first. */
export const list = query({
  args: { isDone: v.boolean() },
  returns: v.array(schema.doc("tasks")),
  handler: async (ctx, { isDone }) =>
    await ctx.db
      .query("tasks")
      .withIndex("by_isDone_and_dueAt", (q) => q.eq("isDone", isDone))
      .take(200),
});

export const countOpen = query({
  args: {},
  returns: v.number(),
  handler: async (ctx) => (await ctx.db.query("counters").first())?.open ?? 0,
});

export const add = mutation({
  args: { title: v.string(), dueAt: v.optional(v.number()) },
  returns: v.id("tasks"),
  handler: async (ctx, { title, dueAt }) => {
    if (title.trim() === "") {
      throw new ConvexError({ code: "empty_title" });
    }
    await count(ctx, 1);
    return await ctx.db.insert("tasks", { title, dueAt, isDone: false });
  },
});

export const setDone = mutation({
  args: { id: v.id("tasks"), isDone: v.boolean() },
  returns: v.null(),
  handler: async (ctx, { id, isDone }) => {
    const task = await ctx.db.get("tasks", id);
    if (task === null) {
      throw new ConvexError({ code: "no_such_task" });
    }
    if (task.isDone !== isDone) {
      await ctx.db.patch("tasks", id, { isDone });
      await count(ctx, isDone ? -1 : 1);
    }
    return null;
  },
});

export const remove = mutation({
  args: { id: v.id("tasks") },
  returns: v.null(),
  handler: async (ctx, { id }) => {
    const task = await ctx.db.get("tasks", id);
    if (task !== null) {
      await ctx.db.delete("tasks", id);
      await count(ctx, task.isDone ? 0 : -1);
    }
    return null;
  },
});

async function count(ctx: MutationCtx, by: number) {
  const counter = await ctx.db.query("counters").first();
  if (counter === null) {
    await ctx.db.insert("counters", { open: by });
  } else if (by !== 0) {
    await ctx.db.patch("counters", counter._id, { open: counter.open + by });
  }
}
