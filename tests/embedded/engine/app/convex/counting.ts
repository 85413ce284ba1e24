import { v } from "convex/values";
import { components } from "./_generated/api";
import { mutation, query } from "./_generated/server";

export const like = mutation({
  args: { times: v.number() },
  handler: async (ctx, { times }): Promise<number> => {
    for (let i = 0; i < times; i += 1) await ctx.runMutation(components.likes.counts.add, {});
    return await ctx.runQuery(components.likes.counts.total, {});
  },
});

export const totals = query({
  args: {},
  handler: async (ctx): Promise<unknown[]> => [
    await ctx.runQuery(components.likes.counts.total, {}),
    await ctx.runQuery(components.views.counts.total, {}),
    await ctx.runQuery(components.views.counts.environment, {}),
  ],
});
