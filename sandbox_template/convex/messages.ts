import { paginationOptsValidator, paginationResultValidator } from "convex/server";
import { ConvexError, v } from "convex/values";
import { internal } from "./_generated/api";
import { internalAction, internalMutation, internalQuery, mutation, query } from "./_generated/server";
import schema from "./schema";

const DAY_MS = 24 * 60 * 60 * 1000;
const KEPT_DAYS = 90;
const BATCH = 200;

const messageWithAuthor = schema.tables.messages.validator.extend({
  _id: v.id("messages"),
  _creationTime: v.number(),
  author: v.string(),
});

/** A channel's messages, newest first, with their authors' names. */
export const list = query({
  args: { channelId: v.id("channels"), paginationOpts: paginationOptsValidator },
  returns: paginationResultValidator(messageWithAuthor),
  handler: async (ctx, { channelId, paginationOpts }) => {
    const messages = await ctx.db
      .query("messages")
      .withIndex("by_channel", (q) => q.eq("channelId", channelId))
      .order("desc")
      .paginate(paginationOpts);
    const page = await Promise.all(
      messages.page.map(async (message) => {
        const author = message.authorId ? await ctx.db.get("users", message.authorId) : null;
        return { ...message, author: author?.name ?? "guest" };
      }),
    );
    return { ...messages, page };
  },
});

/** Once the app has an auth provider, take the author from `ctx.auth.getUserIdentity()` instead. */
export const send = mutation({
  args: { channelId: v.id("channels"), authorId: v.id("users"), body: v.string() },
  returns: v.id("messages"),
  handler: async (ctx, { channelId, authorId, body }) => {
    if (body.trim() === "") {
      throw new ConvexError({ code: "empty_message" });
    }
    return await ctx.db.insert("messages", { channelId, authorId, body });
  },
});

/** For http.ts: finds the channel by its name, and says whether there is one. */
export const receive = internalMutation({
  args: { channel: v.string(), body: v.string() },
  returns: v.boolean(),
  handler: async (ctx, { channel, body }) => {
    const found = await ctx.db
      .query("channels")
      .withIndex("by_name", (q) => q.eq("name", channel))
      .unique();
    if (!found) {
      return false;
    }
    await ctx.db.insert("messages", { channelId: found._id, body });
    return true;
  },
});

export const countSince = internalQuery({
  args: { since: v.number() },
  returns: v.number(),
  handler: async (ctx, { since }) => {
    const recent = await ctx.db
      .query("messages")
      .withIndex("by_creation_time", (q) => q.gt("_creationTime", since))
      .take(1000);
    return recent.length;
  },
});

/** For crons.ts. An action may call the outside world; it reads and writes through queries and mutations. */
export const report = internalAction({
  args: {},
  returns: v.null(),
  handler: async (ctx) => {
    const count: number = await ctx.runQuery(internal.messages.countSince, { since: Date.now() - DAY_MS });
    console.log(`${count} messages in the last day`);
    return null;
  },
});

/** For crons.ts: deletes old messages a batch at a time, as a mutation may not read without bound. */
export const removeOld = internalMutation({
  args: {},
  returns: v.number(),
  handler: async (ctx) => {
    const old = await ctx.db
      .query("messages")
      .withIndex("by_creation_time", (q) => q.lt("_creationTime", Date.now() - KEPT_DAYS * DAY_MS))
      .take(BATCH);
    for (const message of old) {
      await ctx.db.delete("messages", message._id);
    }
    if (old.length === BATCH) {
      await ctx.scheduler.runAfter(0, internal.messages.removeOld, {});
    }
    return old.length;
  },
});
