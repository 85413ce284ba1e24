import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  // What is counted goes by `_creationTime`.
  visits: defineTable({
    path: v.string(),
  }),

  days: defineTable({
    day: v.string(),
    visits: v.number(),
  }).index("by_day", ["day"]),
});
