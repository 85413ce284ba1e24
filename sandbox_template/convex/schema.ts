import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  users: defineTable({
    name: v.string(),
    email: v.string(),
  }).index("by_email", ["email"]),

  channels: defineTable({
    name: v.string(),
    topic: v.optional(v.string()),
  }).index("by_name", ["name"]),

  messages: defineTable({
    channelId: v.id("channels"),
    // A message without an author came in over HTTP.
    authorId: v.optional(v.id("users")),
    body: v.string(),
  })
    // Every index ends with _creationTime, so this one also gives a channel's messages in order.
    .index("by_channel", ["channelId"])
    .index("by_author", ["authorId"]),
});
