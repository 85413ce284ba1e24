import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  people: defineTable({
    name: v.string(),
    handle: v.string(),
  }).index("by_handle", ["handle"]),

  channels: defineTable({
    title: v.string(),
    messageCount: v.number(),
  }).index("by_title", ["title"]),

  messages: defineTable({
    channel: v.id("channels"),
    author: v.id("people"),
    body: v.string(),
  })
    .index("by_channel", ["channel"])
    .index("by_author", ["author", "channel"]),

  digests: defineTable({
    channel: v.id("channels"),
    text: v.string(),
  }).index("by_channel", ["channel"]),
});
