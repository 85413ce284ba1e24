import { ConvexError, v } from "convex/values";
import { mutation, query } from "./_generated/server";
import schema from "./schema";
import { requireUserId } from "./users";

export const list = query({
  args: {},
  returns: v.array(schema.doc("notes")),
  handler: async (ctx) => {
    const userId = await requireUserId(ctx);
    return await ctx.db
      .query("notes")
      .withIndex("by_userId", (q) => q.eq("userId", userId))
      .order("desc")
      .take(100);
  },
});

export const add = mutation({
  args: { text: v.string() },
  returns: v.id("notes"),
  handler: async (ctx, { text }) => await ctx.db.insert("notes", { userId: await requireUserId(ctx), text }),
});

export const remove = mutation({
  args: { id: v.id("notes") },
  returns: v.null(),
  handler: async (ctx, { id }) => {
    const userId = await requireUserId(ctx);
    const note = await ctx.db.get("notes", id);
    // Somebody else's note looks like one that does not exist.
    if (note === null || note.userId !== userId) {
      throw new ConvexError({ code: "no_such_note" });
    }
    await ctx.db.delete("notes", id);
    return null;
  },
});
