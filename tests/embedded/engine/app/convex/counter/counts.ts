import { mutation, query } from "./_generated/server";

export const add = mutation({
  args: {},
  handler: async (ctx) => {
    const total = await ctx.db.query("totals").unique();
    if (total === null) await ctx.db.insert("totals", { value: Number(process.env.STEP) });
    else await ctx.db.patch(total._id, { value: total.value + Number(process.env.STEP) });
  },
});

export const total = query({ args: {}, handler: async (ctx) => (await ctx.db.query("totals").unique())?.value ?? 0 });
export const environment = query({ args: {}, handler: async () => [process.env.STEP ?? null, process.env.GREETING ?? null] });
