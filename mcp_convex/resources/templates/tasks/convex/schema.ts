import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  tasks: defineTable({
    title: v.string(),
    isDone: v.boolean(),
    dueAt: v.optional(v.number()),
  }).index("by_isDone_and_dueAt", ["isDone", "dueAt"]),

  // One document: how many tasks are open, since counting them would read them all.
  counters: defineTable({
    open: v.number(),
  }),
});
