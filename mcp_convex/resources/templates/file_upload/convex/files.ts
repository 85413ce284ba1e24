import { ConvexError, v } from "convex/values";
import { internal } from "./_generated/api";
import { internalMutation, mutation, query } from "./_generated/server";

const LARGEST = 10 * 1024 * 1024;
const DAY_MS = 24 * 60 * 60 * 1000;
const BATCH = 100;

/** A URL for an upload within the next hour. */
export const uploadUrl = mutation({
  args: {},
  returns: v.string(),
  handler: async (ctx) => await ctx.storage.generateUploadUrl(),
});

/** Keeps an uploaded file. What is no image or too large is refused; `removeStrays` deletes it. */
export const add = mutation({
  args: { storageId: v.id("_storage"), name: v.string() },
  returns: v.id("files"),
  handler: async (ctx, { storageId, name }) => {
    const stored = await ctx.db.system.get("_storage", storageId);
    if (stored === null || stored.size > LARGEST || !stored.contentType?.startsWith("image/")) {
      throw new ConvexError({ code: "not_a_small_image" });
    }
    const known = await ctx.db
      .query("files")
      .withIndex("by_storageId", (q) => q.eq("storageId", storageId))
      .unique();
    const { contentType, size } = stored;
    return known?._id ?? (await ctx.db.insert("files", { storageId, name, contentType, size }));
  },
});

export const list = query({
  args: {},
  returns: v.array(
    v.object({ id: v.id("files"), name: v.string(), size: v.number(), url: v.union(v.string(), v.null()) }),
  ),
  handler: async (ctx) => {
    const files = await ctx.db.query("files").order("desc").take(100);
    return await Promise.all(
      files.map(async ({ _id, name, size, storageId }) => ({
        id: _id,
        name,
        size,
        url: await ctx.storage.getUrl(storageId),
      })),
    );
  },
});

export const remove = mutation({
  args: { id: v.id("files") },
  returns: v.null(),
  handler: async (ctx, { id }) => {
    const file = await ctx.db.get("files", id);
    if (file !== null) {
      await ctx.storage.delete(file.storageId);
      await ctx.db.delete("files", id);
    }
    return null;
  },
});

/** For crons.ts: deletes uploads that are older than a day and that no document keeps. */
export const removeStrays = internalMutation({
  args: { cursor: v.union(v.string(), v.null()) },
  returns: v.number(),
  handler: async (ctx, { cursor }) => {
    const uploads = await ctx.db.system.query("_storage").paginate({ numItems: BATCH, cursor });
    const old = uploads.page.filter((upload) => upload._creationTime < Date.now() - DAY_MS);
    const kept = await Promise.all(
      old.map((upload) =>
        ctx.db
          .query("files")
          .withIndex("by_storageId", (q) => q.eq("storageId", upload._id))
          .unique(),
      ),
    );
    const strays = old.filter((_, place) => kept[place] === null);
    await Promise.all(strays.map((stray) => ctx.storage.delete(stray._id)));
    if (!uploads.isDone) {
      await ctx.scheduler.runAfter(0, internal.files.removeStrays, { cursor: uploads.continueCursor });
    }
    return strays.length;
  },
});
