import { paginationOptsValidator, paginationResultValidator } from "convex/server";
import { ConvexError, v } from "convex/values";
import { mutation, query } from "./_generated/server";
import schema from "./schema";

const LONGEST = 2000;

/** A channel's messages, newest first. */
export const list = query({
  args: { channelId: v.id("channels"), paginationOpts: paginationOptsValidator },
  returns: paginationResultValidator(schema.doc("messages")),
  handler: async (ctx, { channelId, paginationOpts }) =>
    await ctx.db
      .query("messages")
      .withIndex("by_channelId", (q) => q.eq("channelId", channelId))
      .order("desc")
      .paginate(paginationOpts),
});

export const send = mutation({
  args: { channelId: v.id("channels"), author: v.string(), body: v.string() },
  returns: v.id("messages"),
  handler: async (ctx, { channelId, author, body }) => {
    if (body.trim() === "" || body.length > LONGEST) {
      throw new ConvexError({ code: "bad_message" });
    }
    if ((await ctx.db.get("channels", channelId)) === null) {
      throw new ConvexError({ code: "no_such_channel" });
    }
    return await ctx.db.insert("messages", { channelId, author, body });
  },
});
