// Drives Convex's own JS clients against a deployment, and prints what they saw as JSON, a line each.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [url, key, token] = readFileSync(0, "utf8").split("\n");
const require = createRequire(`${process.cwd()}/package.json`);
const { ConvexClient, ConvexHttpClient } = require("convex/browser");
const { anyApi } = require("convex/server");
const say = (what, value) => console.log(JSON.stringify([what, value], (_, item) => (typeof item === "bigint" ? `${item}n` : item)));
const api = anyApi.messages;

const http = new ConvexHttpClient(url);
await http.mutation(api.send, { author: "http", body: "first" });
say("http query", (await http.query(api.list, {})).map(({ body }) => body));
say("http action", typeof (await http.action(api.announce, { body: "second" })));
say("http odd values", await http.query(api.odd, {}).then(({ big, bytes, nothing }) => [big, bytes.byteLength, Number.isNaN(nothing)]));
say("http error data", await http.mutation(api.refuse, {}).catch((error) => error.data));
say("http consistent", (await http.consistentQuery(api.list, {})).length);

const client = new ConvexClient(url);
const updates = [];
let told = () => {};
const next = () => new Promise((resolve) => (told = resolve));
let update = next();
client.onUpdate(api.list, {}, (messages) => {
  updates.push(messages.length);
  told();
});
await update;
update = next();
await client.mutation(api.send, { author: "live", body: "third" });
say("live result is there when the mutation returns", updates);
update = next();
await http.mutation(api.send, { author: "http", body: "fourth" });
await update;
say("live update from another client", updates);
say("live action", typeof (await client.action(api.announce, { body: "fifth" })));
say("live error data", await client.mutation(api.refuse, {}).catch((error) => error.data));
say("live query error", await client.query(api.boom, {}).catch((error) => error.message.includes("boom")));
say("live hidden", await client.query(api.hidden, {}).catch((error) => error.message.includes("Could not find public function")));

const changed = new Promise((resolve) => client.setAuth(async () => token, resolve));
say("live signed in", [await changed, (await client.query(api.me, {})).subject]);
await client.close();

const admin = new ConvexClient(url);
admin.client.setAdminAuth(key, { subject: "acting", issuer: "https://cli.test" });
say("live admin", [await admin.query(api.hidden, {}), (await admin.query(api.me, {})).subject]);
await admin.close();
process.exit(0);
