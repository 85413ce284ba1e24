import { v } from "convex/values";
import { internal } from "./_generated/api";
import { internalMutation } from "./_generated/server";

/** Records an event once, however often it is delivered, and has it processed. */
export const receive = internalMutation({
  args: { eventId: v.string(), type: v.string(), payload: v.string() },
  returns: v.boolean(),
  handler: async (ctx, event) => {
    const known = await ctx.db
      .query("events")
      .withIndex("by_eventId", (q) => q.eq("eventId", event.eventId))
      .unique();
    if (known !== null) {
      return false;
    }
    const id = await ctx.db.insert("events", { ...event, state: "received" });
    await ctx.scheduler.runAfter(0, internal.events.handle, { id });
    return true;
  },
});

/** Does what the event asks for. For calls to other services, make it an action that ends with a mutation. */
export const handle = internalMutation({
  args: { id: v.id("events") },
  returns: v.null(),
  handler: async (ctx, { id }) => {
    const event = await ctx.db.get("events", id);
    if (event === null || event.state === "processed") {
      return null;
    }
    switch (event.type) {
      case "ping":
        console.log("ping", event.eventId);
        break;
      default:
        console.warn("an event of unknown type", event.type);
    }
    await ctx.db.patch("events", id, { state: "processed" });
    return null;
  },
});
