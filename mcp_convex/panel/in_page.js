// The page as the panel's host: it calls the server as any client of the sessionless protocol, known by its cookie.

const PROTOCOL = "2026-07-28";
const META = {
  "io.modelcontextprotocol/protocolVersion": PROTOCOL,
  "io.modelcontextprotocol/clientInfo": { name: "mcp-convex panel", version: "1" },
  "io.modelcontextprotocol/clientCapabilities": {},
};
const FOLLOWED = ["convex://connections", "convex://dev-server", "convex://pushes"];
const SILENCE_MS = 45_000; // the server says something every 15 s
const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 30_000;
let asked = 0;
let wake = () => undefined;

async function post(method, params, signal) {
  const name = params.name ?? params.uri;
  const answer = await fetch(`/panel/mcp${location.search}`, {
    method: "POST",
    headers: {
      Accept: "application/json, text/event-stream",
      "Content-Type": "application/json",
      "MCP-Protocol-Version": PROTOCOL,
      "Mcp-Method": method,
      ...(name && { "Mcp-Name": name }),
    },
    body: JSON.stringify({ jsonrpc: "2.0", id: ++asked, method, params: { ...params, _meta: META } }),
    signal,
  }).catch(() => {
    throw new Error("The server does not answer.");
  });
  if (answer.status === 401) throw new SignedOut();
  return answer;
}

async function ask(method, params) {
  const answer = await post(method, params);
  const body = await answer.text();
  let said;
  try {
    said = JSON.parse(isStream(answer) ? messagesIn(body.split(/\r?\n/)).at(-1) : body);
  } catch {
    throw new Error(`The server did not answer as it should (${answer.status}).`);
  }
  const { result, error, detail } = said;
  if (!result) throw new Error(error?.message ?? detail ?? "The call failed.");
  return result;
}

const isStream = (answer) => (answer.headers.get("Content-Type") ?? "").startsWith("text/event-stream");
const messagesIn = (lines) =>
  lines.filter((line) => line.startsWith("data:") && line.length > 6).map((line) => line.slice(5));

// Returns once the stream of changes is lost, or nobody sees the page any more.
async function listen(onChange) {
  const ending = new AbortController();
  const end = () => ending.abort();
  const hide = () => document.hidden && end();
  let silence = setTimeout(end, SILENCE_MS);
  document.addEventListener("visibilitychange", hide);
  try {
    const notifications = { resourceSubscriptions: FOLLOWED };
    const answer = await post("subscriptions/listen", { notifications }, ending.signal);
    if (!isStream(answer)) return;
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let rest = ""; ; ) {
      const { value, done } = await reader.read();
      if (done) return;
      clearTimeout(silence);
      silence = setTimeout(end, SILENCE_MS);
      const lines = (rest + value).split(/\r?\n/);
      rest = lines.pop();
      if (messagesIn(lines).some((message) => JSON.parse(message).method)) onChange();
    }
  } finally {
    clearTimeout(silence);
    document.removeEventListener("visibilitychange", hide);
    end();
  }
}

const rest = (ms) =>
  new Promise((resolve) => {
    wake = resolve;
    setTimeout(resolve, ms);
  });

// Has the panel look whenever the server says that something changed, and ever less often where it cannot say so.
async function follow(panel) {
  for (let wait = FIRST_WAIT_MS; !panel.isOver; wait = Math.min(2 * wait, LONGEST_WAIT_MS)) {
    while (document.hidden) await rest(LONGEST_WAIT_MS);
    const began = Date.now();
    let stood = false;
    const onChange = () => {
      if (!stood) panel.live((stood = true));
      panel.look();
    };
    await listen(onChange).catch(() => undefined);
    panel.live(false);
    if (!stood) await panel.look();
    else if (Date.now() - began > LONGEST_WAIT_MS) wait = FIRST_WAIT_MS;
    if (!document.hidden) await rest(wait * (0.5 + Math.random())); // so that not all come back at once
  }
}

const { searchParams: query } = new URL(location.href);
if (query.has("workspace")) {
  document.title = `Convex · ${query.get("workspace")}`;
  document.querySelector("h1").append(element("small", {}, query.get("workspace")));
}
document.addEventListener("visibilitychange", () => document.hidden || wake());
window.addEventListener("online", () => wake());
showPanel({ ask, follow, wake: () => wake(), open: async (url) => void window.open(url, "_blank", "noopener") });
