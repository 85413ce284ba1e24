// Does the main job with one of the TypeScript SDKs' clients, and prints what it saw as JSON.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const { sdk, options, server, job } = JSON.parse(readFileSync(0, "utf8"));
const require = createRequire(`${process.cwd()}/package.json`);
const { Client } = require(sdk.client);
const [module, name] = sdk.transport;
const Transport = require(module)[name];

const client = new Client({ name: "by hand", version: "1" }, options);
const [to, ...more] = server;
await client.connect(new Transport(typeof to === "string" ? new URL(to) : to, ...more));

const seen = { progress: [] };
const onprogress = ({ progress, total, message }) => seen.progress.push([progress, total, message]);
const call = (name, args, options) => {
  const request = { name, arguments: args };
  return sdk.legacy ? client.callTool(request, undefined, options) : client.callTool(request, options);
};
const said = async (name, args, options) => (await call(name, args, options)).structuredContent;

seen.tools = (await client.listTools()).tools;
seen.written = (await said("write_files", { changes: job.changes }, { onprogress })).changes;
seen.pushed = (await said("push", {}, { onprogress, timeout: 60_000, resetTimeoutOnProgress: true })).outcome;
await said("run_function", { name: "notes:add", args: job.note });
seen.ran = (await said("run_function", { name: "notes:top" })).value;
seen.rows = (await said("read_table", { table: "notes" })).documents;
seen.resource = (await client.readResource({ uri: job.resource })).contents[0].text;
seen.prompt = (await client.getPrompt({ name: job.prompt })).messages[0].content.text;
const refused = await call("read_table", { table: "nots" });
seen.refused = [refused.isError, refused.structuredContent.error.code];
await client.close();
console.log(JSON.stringify(seen));
