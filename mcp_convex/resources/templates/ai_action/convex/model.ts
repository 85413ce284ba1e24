import { v } from "convex/values";
import { internal } from "./_generated/api";
import type { Doc } from "./_generated/dataModel";
import { internalAction } from "./_generated/server";

const INSTRUCTIONS = "Answer briefly and to the point.";

/** Asks the model, and records its answer or that there is none. Scheduled by `questions.ask`. */
export const answer = internalAction({
  args: { id: v.id("questions") },
  returns: v.null(),
  handler: async (ctx, { id }) => {
    const conversation = await ctx.runQuery(internal.questions.conversation, { id });
    try {
      const text = await complete(conversation);
      await ctx.runMutation(internal.questions.settle, { id, answer: text, state: "answered" });
    } catch (error) {
      console.error(error); // for the developer; the person is told only that it failed
      await ctx.runMutation(internal.questions.settle, { id, answer: "", state: "failed" });
    }
    return null;
  },
});

async function complete(conversation: Doc<"questions">[]): Promise<string> {
  const key = process.env.OPENAI_API_KEY;
  if (!key) {
    throw new Error("OPENAI_API_KEY is not set on the deployment.");
  }
  const messages = conversation.flatMap(({ text, answer }) => [
    { role: "user", content: text },
    ...(answer ? [{ role: "assistant", content: answer }] : []),
  ]);
  const response = await fetch(`${process.env.OPENAI_BASE_URL ?? "https://api.openai.com/v1"}/chat/completions`, {
    method: "POST",
    headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" },
    body: JSON.stringify({
      model: process.env.OPENAI_MODEL ?? "gpt-5-mini",
      messages: [{ role: "system", content: INSTRUCTIONS }, ...messages],
    }),
  });
  if (!response.ok) {
    throw new Error(`The model's service answered with ${response.status}.`);
  }
  const { choices } = await response.json();
  const text = choices?.[0]?.message?.content;
  if (typeof text !== "string") {
    throw new Error("The model's service gave no text.");
  }
  return text;
}
