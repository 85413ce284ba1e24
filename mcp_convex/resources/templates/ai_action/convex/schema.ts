import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  questions: defineTable({
    // Chosen by the client: crypto.randomUUID().
    thread: v.string(),
    text: v.string(),
    answer: v.string(),
    state: v.union(v.literal("waiting"), v.literal("answered"), v.literal("failed")),
  }).index("by_thread", ["thread"]),
});
