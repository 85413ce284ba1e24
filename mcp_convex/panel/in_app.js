// A chat as the panel's host: MCP Apps, JSON-RPC over postMessage with the window around this one.

const PROTOCOL = "2026-01-26";
const waiting = new Map();
let asked = 0;

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

window.addEventListener("message", ({ source, data }) => {
  if (source !== window.parent || data?.jsonrpc !== "2.0") return;
  if (data.method === "ui/notifications/host-context-changed") dress(data.params);
  else if (data.method && data.id !== undefined)
    send({ id: data.id, result: {} }); // a ping, or the end
  else if (waiting.has(data.id)) {
    const { resolve, reject } = waiting.get(data.id);
    waiting.delete(data.id);
    if (data.error) reject(new Error(data.error.message));
    else resolve(data.result);
  }
});

const resized = () =>
  send({
    method: "ui/notifications/size-changed",
    params: { height: document.documentElement.scrollHeight },
  });

const { hostContext } = await ask("ui/initialize", {
  protocolVersion: PROTOCOL,
  appInfo: { name: "mcp-convex panel", version: "1" },
  appCapabilities: {},
});
dress(hostContext);
send({ method: "ui/notifications/initialized", params: {} });
showPanel({ ask, resized, open: (url) => ask("ui/open-link", { url }) });
