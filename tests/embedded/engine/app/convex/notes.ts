import { ConvexError, v } from "convex/values";
import { paginationOptsValidator } from "convex/server";
import { internal } from "./_generated/api";
import { action, internalMutation, internalQuery, mutation, query } from "./_generated/server";

export const add = mutation({
  args: { body: v.string(), rank: v.number(), author: v.optional(v.id("authors")) },
  returns: v.id("notes"),
  handler: async (ctx, args) => {
    console.log("adding", args.body, { rank: args.rank });
    return await ctx.db.insert("notes", args);
  },
});

export const addAuthor = mutation({
  args: { name: v.string() },
  handler: async (ctx, args) => await ctx.db.insert("authors", args),
});

export const list = query({ args: {}, handler: async (ctx) => await ctx.db.query("notes").collect() });

export const bodies = query({
  args: { from: v.optional(v.number()), below: v.optional(v.number()), order: v.optional(v.string()) },
  handler: async (ctx, { from, below, order }) => {
    const notes = ctx.db
      .query("notes")
      .withIndex("by_rank", (q) => q.gte("rank", from ?? -Infinity).lt("rank", below ?? Infinity))
      .order(order === "desc" ? "desc" : "asc");
    return (await notes.collect()).map(({ body }) => body);
  },
});

export const page = query({
  args: { paginationOpts: paginationOptsValidator },
  handler: async (ctx, { paginationOpts }) => await ctx.db.query("notes").withIndex("by_rank").paginate(paginationOpts),
});

export const odd = query({
  args: {},
  handler: async (ctx) => {
    const notes = ctx.db.query("notes").filter((q) => q.eq(q.mod(q.field("rank"), 2), 1));
    return (await notes.take(2)).map(({ rank }) => rank);
  },
});

export const search = query({
  args: { text: v.string() },
  handler: async (ctx, { text }) => {
    const found = await ctx.db.query("notes").withSearchIndex("search_body", (q) => q.search("body", text)).collect();
    return found.map(({ body }) => body);
  },
});

export const change = mutation({
  args: { id: v.id("notes") },
  handler: async (ctx, { id }) => {
    const author = await ctx.db.insert("authors", { name: "eve" });
    await ctx.db.patch(id, { body: "patched", author });
    await ctx.db.patch(id, { author: undefined });
    return await ctx.db.get(id);
  },
});

export const remove = mutation({ args: { id: v.id("notes") }, handler: async (ctx, { id }) => await ctx.db.delete(id) });

export const badInsert = mutation({
  args: {},
  handler: async (ctx) => await ctx.db.insert("notes", { rank: 1 } as never),
});

export const writeThenThrow = mutation({
  args: {},
  handler: async (ctx) => {
    await ctx.db.insert("notes", { body: "never seen", rank: 0 });
    throw new Error("changed my mind");
  },
});

export const innerThrows = internalMutation({
  args: {},
  handler: async (ctx) => {
    await ctx.db.insert("notes", { body: "inner", rank: 0 });
    throw new Error("inner failed");
  },
});

export const catchInner = mutation({
  args: {},
  handler: async (ctx): Promise<string> => {
    await ctx.db.insert("notes", { body: "outer", rank: 0 });
    try {
      await ctx.runMutation(internal.notes.innerThrows, {});
    } catch (error) {
      return (error as Error).message;
    }
    return "nothing was thrown";
  },
});

export const count = internalQuery({ args: {}, handler: async (ctx) => (await ctx.db.query("notes").collect()).length });

export const addTwice = action({
  args: { body: v.string() },
  handler: async (ctx, { body }): Promise<number> => {
    const { notes } = internal;
    await ctx.runMutation(notes.addInternally, { body });
    await ctx.runMutation(notes.addInternally, { body });
    return await ctx.runQuery(notes.count, {});
  },
});

export const addInternally = internalMutation({
  args: { body: v.string() },
  handler: async (ctx, { body }) => await ctx.db.insert("notes", { body, rank: 0 }),
});

export const increment = mutation({
  args: {},
  handler: async (ctx) => {
    const note = await ctx.db.query("notes").first();
    await Promise.resolve();
    if (note === null) await ctx.db.insert("notes", { body: "count", rank: 1 });
    else await ctx.db.patch(note._id, { rank: note.rank + 1 });
  },
});

export const fail = mutation({
  args: {},
  handler: async () => {
    throw new ConvexError({ code: "full", left: 0 });
  },
});

export const fetches = query({ args: {}, handler: async () => (await fetch("http://127.0.0.1:9")).status });
export const sleeps = mutation({ args: {}, handler: async () => await new Promise((r) => setTimeout(r, 1)) });
export const wrongReturn = query({ args: {}, returns: v.string(), handler: async () => 7 as unknown as string });
export const environment = query({ args: {}, handler: async () => [process.env.GREETING ?? null, process.env.CONVEX_SITE_URL] });
export const whoAmI = query({ args: {}, handler: async (ctx) => await ctx.auth.getUserIdentity() });

export const dropsPromise = action({
  args: {},
  handler: async () => {
    void Promise.reject(new Error("nobody listens"));
    return "returned";
  },
});

export const putThing = mutation({ args: { value: v.any() }, handler: async (ctx, args) => await ctx.db.insert("things", args) });

export const things = query({
  args: {},
  handler: async (ctx) => (await ctx.db.query("things").withIndex("by_value").collect()).map(({ value }) => (value === undefined ? "(none)" : value)),
});

export const putPoint = mutation({
  args: { at: v.array(v.float64()), kind: v.string() },
  handler: async (ctx, args) => await ctx.db.insert("points", args),
});

export const nearest = action({
  args: { to: v.array(v.float64()), kind: v.string() },
  handler: async (ctx, { to, kind }) => await ctx.vectorSearch("points", "by_at", { vector: to, limit: 2, filter: (q) => q.eq("kind", kind) }),
});
