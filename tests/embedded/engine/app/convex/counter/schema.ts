import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({ totals: defineTable({ value: v.number() }) });
