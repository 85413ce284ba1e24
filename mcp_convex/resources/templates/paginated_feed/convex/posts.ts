import { paginationOptsValidator, paginationResultValidator } from "convex/server";
import { ConvexError, v } from "convex/values";
import { mutation, query } from "./_generated/server";
import schema from "./schema";

/** Posts, newest first; only those of *author* if one is given. */
export const feed = query({
  args: { author: v.optional(v.string()), paginationOpts: paginationOptsValidator },
  returns: paginationResultValidator(schema.doc("posts")),
  handler: async (ctx, { author, paginationOpts }) => {
    const posts =
      author === undefined
        ? ctx.db.query("posts")
        : ctx.db.query("posts").withIndex("by_author", (q) => q.eq("author", author));
    return await posts.order("desc").paginate(paginationOpts);
  },
});

export const publish = mutation({
  args: { author: v.string(), body: v.string() },
  returns: v.id("posts"),
  handler: async (ctx, { author, body }) => {
    if (author.trim() === "" || body.trim() === "" || body.length > 5000) {
      throw new ConvexError({ code: "bad_post" });
    }
    return await ctx.db.insert("posts", { author, body, likes: 0 });
  },
});

/** Likes a post, or takes the like back; returns whether it is liked now. */
export const toggleLike = mutation({
  args: { postId: v.id("posts"), by: v.string() },
  returns: v.boolean(),
  handler: async (ctx, { postId, by }) => {
    const post = await ctx.db.get("posts", postId);
    if (post === null) {
      throw new ConvexError({ code: "no_such_post" });
    }
    const like = await ctx.db
      .query("likes")
      .withIndex("by_postId_and_by", (q) => q.eq("postId", postId).eq("by", by))
      .unique();
    if (like === null) {
      await ctx.db.insert("likes", { postId, by });
    } else {
      await ctx.db.delete("likes", like._id);
    }
    await ctx.db.patch("posts", postId, { likes: post.likes + (like === null ? 1 : -1) });
    return like === null;
  },
});
