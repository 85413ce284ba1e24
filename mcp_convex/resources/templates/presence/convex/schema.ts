import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  // Changes only when somebody comes or goes, so that the lists which clients see are not run again at every beat.
  present: defineTable({
    room: v.string(),
    session: v.string(),
    name: v.string(),
  }).index("by_room_and_session", ["room", "session"]),

  // Changes at every beat.
  beats: defineTable({
    presentId: v.id("present"),
    endsBy: v.id("_scheduled_functions"),
  }).index("by_presentId", ["presentId"]),
});
