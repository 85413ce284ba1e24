import { httpRouter } from "convex/server";
import { internal } from "./_generated/api";
import { httpAction } from "./_generated/server";

const TOLERANCE_S = 300;

const http = httpRouter();

http.route({
  path: "/webhook",
  method: "POST",
  handler: httpAction(async (ctx, request) => {
    const payload = await request.text();
    const time = request.headers.get("x-webhook-timestamp") ?? "";
    const signature = request.headers.get("x-webhook-signature") ?? "";
    // An old event with a right signature may be a replay.
    const isRecent = Math.abs(Date.now() / 1000 - Number(time)) <= TOLERANCE_S;
    if (!isRecent || !(await isSigned(`${time}.${payload}`, signature))) {
      return new Response("bad signature", { status: 401 });
    }
    const event = parsed(payload);
    if (typeof event?.id !== "string" || typeof event?.type !== "string") {
      return new Response("no event", { status: 400 });
    }
    await ctx.runMutation(internal.events.receive, { eventId: event.id, type: event.type, payload });
    return new Response(null, { status: 204 });
  }),
});

async function isSigned(text: string, signature: string): Promise<boolean> {
  const secret = process.env.WEBHOOK_SECRET;
  if (!secret || !/^[0-9a-f]{64}$/.test(signature)) {
    return false;
  }
  const encoder = new TextEncoder();
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", encoder.encode(secret), algorithm, false, ["verify"]);
  const bytes = Uint8Array.from(signature.match(/../g) ?? [], (pair) => parseInt(pair, 16));
  return await crypto.subtle.verify("HMAC", key, bytes, encoder.encode(text));
}

function parsed(text: string): { id?: unknown; type?: unknown } | null {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

export default http;
