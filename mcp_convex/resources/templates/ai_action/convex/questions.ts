import { ConvexError, v } from "convex/values";
import { internal } from "./_generated/api";
import { internalMutation, internalQuery, mutation, query } from "./_generated/server";
import schema from "./schema";

const LONGEST = 4000;
const REMEMBERED = 10;

/** A thread's questions with their answers, the newest first. */
export const list = query({
  args: { thread: v.string() },
  returns: v.array(schema.doc("questions")),
  handler: async (ctx, { thread }) =>
    await ctx.db
      .query("questions")
      .withIndex("by_thread", (q) => q.eq("thread", thread))
      .order("desc")
      .take(50),
});

export const ask = mutation({
  args: { thread: v.string(), text: v.string() },
  returns: v.id("questions"),
  handler: async (ctx, { thread, text }) => {
    if (text.trim() === "" || text.length > LONGEST) {
      throw new ConvexError({ code: "bad_question" });
    }
    const id = await ctx.db.insert("questions", { thread, text, answer: "", state: "waiting" });
    await ctx.scheduler.runAfter(0, internal.model.answer, { id });
    return id;
  },
});

/** For the action: the conversation up to a question, the oldest first. */
export const conversation = internalQuery({
  args: { id: v.id("questions") },
  returns: v.array(schema.doc("questions")),
  handler: async (ctx, { id }) => {
    const question = await ctx.db.get("questions", id);
    if (question === null) {
      return [];
    }
    const earlier = await ctx.db
      .query("questions")
      .withIndex("by_thread", (q) => q.eq("thread", question.thread).lt("_creationTime", question._creationTime))
      .order("desc")
      .take(REMEMBERED);
    return [...earlier.reverse(), question];
  },
});

/** For the action: what came of a question. */
export const settle = internalMutation({
  args: { id: v.id("questions"), answer: v.string(), state: v.union(v.literal("answered"), v.literal("failed")) },
  returns: v.null(),
  handler: async (ctx, { id, answer, state }) => {
    await ctx.db.patch("questions", id, { answer, state });
    return null;
  },
});
