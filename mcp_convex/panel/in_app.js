// A chat as the panel's host: MCP Apps, JSON-RPC over postMessage with the window around this one.

const PROTOCOL = "2026-01-26";
const NEWS = new Set([
  "notifications/resources/updated",
  "notifications/resources/list_changed",
  "ui/notifications/tool-result",
]);
const SOON_MS = 5_000; // while something is under way
const LATER_MS = 30_000;
const waiting = new Map();
let asked = 0;
let isInView = true;
let shown; // the panel, once there is one
let wake = () => undefined;

function send(message) {
  window.parent.postMessage({ jsonrpc: "2.0", ...message }, "*"); // says nothing secret, and to whom is not known yet
}

function ask(method, params) {
  const id = ++asked;
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject });
    send({ id, method, params });
  });
}

function dress({ theme }) {
  if (theme) document.documentElement.dataset.theme = theme;
}

async function open(url) {
  const { isError } = await ask("ui/open-link", { url });
  if (isError) throw new Error("The chat did not open it.");
}

window.addEventListener("message", ({ source, data }) => {
  if (source !== window.parent || data?.jsonrpc !== "2.0") return;
  if (data.method === "ui/notifications/host-context-changed") dress(data.params);
  else if (NEWS.has(data.method)) shown?.look();
  else if (data.method && data.id !== undefined) {
    if (data.method === "ui/resource-teardown" && shown) shown.isOver = true;
    send({ id: data.id, result: {} }); // a ping, or the end
  } else if (waiting.has(data.id)) {
    const { resolve, reject } = waiting.get(data.id);
    waiting.delete(data.id);
    if (data.error) reject(new Error(data.error.message));
    else resolve(data.result);
  }
});

// A chat forwards what the server says where it can; else the panel looks by itself, and only while somebody sees it.
async function follow(panel) {
  shown = panel;
  for (let passed = SOON_MS; !panel.isOver; passed += SOON_MS) {
    const isWoken = await new Promise((resolve) => {
      wake = resolve;
      setTimeout(resolve, SOON_MS);
    });
    if (document.hidden || !isInView || !(isWoken || panel.isUnderWay || passed >= LATER_MS)) continue;
    passed = 0;
    await panel.look();
  }
}

function watch() {
  document.addEventListener("visibilitychange", () => wake(true));
  new IntersectionObserver((entries) => {
    isInView = entries.at(-1).isIntersecting;
    if (isInView) wake(true);
  }).observe(document.body);
  const main = document.querySelector("main");
  const resized = () =>
    send({
      method: "ui/notifications/size-changed",
      params: { height: Math.ceil(main.getBoundingClientRect().height) },
    });
  new ResizeObserver(resized).observe(main);
}

const { hostContext, hostCapabilities: can } = await ask("ui/initialize", {
  protocolVersion: PROTOCOL,
  appInfo: { name: "mcp-convex panel", version: "1" },
  appCapabilities: {},
});
dress(hostContext);
send({ method: "ui/notifications/initialized", params: {} });
watch();
if (can.serverTools && can.serverResources) showPanel({ ask, open, follow, wake: () => wake(true) });
else
  document
    .getElementById("panel")
    .replaceChildren(said("This chat does not let the panel ask the server. Ask your assistant for the same in words."));
