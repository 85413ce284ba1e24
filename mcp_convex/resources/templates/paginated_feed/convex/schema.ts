import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  posts: defineTable({
    author: v.string(),
    body: v.string(),
    likes: v.number(),
  }).index("by_author", ["author"]),

  likes: defineTable({
    postId: v.id("posts"),
    by: v.string(),
  }).index("by_postId_and_by", ["postId", "by"]),
});
