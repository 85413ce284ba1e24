// The page as the panel's host: it calls the server as any client of the sessionless protocol, known by its cookie.

const PROTOCOL = "2026-07-28";
const META = {
  "io.modelcontextprotocol/protocolVersion": PROTOCOL,
  "io.modelcontextprotocol/clientInfo": { name: "mcp-convex panel", version: "1" },
  "io.modelcontextprotocol/clientCapabilities": {},
};
let asked = 0;

async function ask(method, params) {
  const answer = await fetch(`/panel/mcp${location.search}`, {
    method: "POST",
    headers: {
      Accept: "application/json, text/event-stream",
      "Content-Type": "application/json",
      "MCP-Protocol-Version": PROTOCOL,
      "Mcp-Method": method,
      "Mcp-Name": params.name ?? params.uri,
    },
    body: JSON.stringify({ jsonrpc: "2.0", id: ++asked, method, params: { ...params, _meta: META } }),
  });
  if (answer.status === 401) location.reload(); // signs in again
  const body = await answer.text();
  const { result, error } = JSON.parse(isStream(answer) ? lastEvent(body) : body);
  if (error) throw new Error(error.message ?? "The call failed.");
  return result;
}

const isStream = (answer) => (answer.headers.get("Content-Type") ?? "").startsWith("text/event-stream");
const lastEvent = (body) =>
  body
    .split(/\r?\n/)
    .findLast((line) => line.startsWith("data:") && line.length > 6)
    .slice(5);

showPanel({ ask, open: async (url) => void window.open(url, "_blank", "noopener") });
