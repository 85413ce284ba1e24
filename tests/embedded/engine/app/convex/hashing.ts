"use node";

import { createHash } from "node:crypto";
import { v } from "convex/values";
import { action } from "./_generated/server";

export const sha256 = action({
  args: { text: v.string() },
  handler: async (_, { text }) => createHash("sha256").update(text).digest("hex"),
});

// What CommonJS packages name, which the CLI bundles into ES modules.
export const commonJs = action({
  args: {},
  handler: () => [typeof require, typeof module, typeof exports, typeof __filename, typeof __dirname],
});
