import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  events: defineTable({
    eventId: v.string(),
    type: v.string(),
    // As it came, in JSON: senders add fields without notice.
    payload: v.string(),
    state: v.union(v.literal("received"), v.literal("processed")),
  })
    .index("by_eventId", ["eventId"])
    .index("by_state", ["state"]),
});
