import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  users: defineTable({
    tokenIdentifier: v.string(),
    name: v.string(),
    email: v.optional(v.string()),
    status: v.optional(v.string()),
  }).index("by_tokenIdentifier", ["tokenIdentifier"]),
});
