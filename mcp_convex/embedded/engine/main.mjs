// The entry: speaks the protocol of README.md over the file descriptor that it was given, and ends when that closes.

import { Socket } from "node:net";

import { Engine } from "./engine.mjs";
import { RequestError } from "./errors.mjs";

const exit = process.exit.bind(process);
const socket = new Socket({ fd: Number(process.argv[2] ?? 3), readable: true, writable: true });
const send = (message) => socket.write(`${JSON.stringify(message)}\n`);
const engine = new Engine({ folder: `${process.cwd()}/data`, emit: send });

async function answer({ id, ...request }) {
  try {
    send({ id, ok: await engine.answer(request) });
  } catch (error) {
    const code = error instanceof RequestError ? error.code : "InternalServerError";
    send({ id, error: { code, message: String(error?.message ?? error) } });
  }
}

let rest = [];
socket.on("data", (chunk) => {
  for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a)) {
    const line = Buffer.concat([...rest, chunk.subarray(0, end)]).toString();
    rest = [];
    chunk = chunk.subarray(end + 1);
    void answer(JSON.parse(line));
  }
  if (chunk.length > 0) rest.push(chunk);
});
socket.on("error", () => exit(0));
socket.on("close", () => exit(0));

// App code that drops a promise or throws in a callback must not end the deployment.
const fault = (error) => send({ event: "fault", message: String(error?.stack ?? error) });
process.on("uncaughtException", fault);
process.on("unhandledRejection", fault);
