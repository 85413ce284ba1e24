import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  authors: defineTable({ name: v.string() }).index("by_name", ["name"]),
  notes: defineTable({ author: v.optional(v.id("authors")), body: v.string(), rank: v.number() })
    .index("by_rank", ["rank"])
    .index("by_author_and_rank", ["author", "rank"])
    .searchIndex("search_body", { searchField: "body", filterFields: ["rank"] }),
  points: defineTable({ at: v.array(v.float64()), kind: v.string() }).vectorIndex("by_at", {
    vectorField: "at",
    dimensions: 2,
    filterFields: ["kind"],
  }),
  things: defineTable(v.any()).index("by_value", ["value"]),
});
