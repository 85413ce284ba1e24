// A chat that shows MCP Apps with the official bridge. What the app asks of the server goes on to the test's client.
import { AppBridge, PostMessageTransport } from "@modelcontextprotocol/ext-apps/app-bridge";

const relay = async (method, params) => {
  const answer = await fetch("/relay", { method: "POST", body: JSON.stringify({ method, params }) });
  return await answer.json();
};

const frame = document.querySelector("iframe");
const capabilities = { openLinks: {}, serverTools: {}, serverResources: {} };
const bridge = new AppBridge(null, { name: "A chat", version: "1" }, capabilities, {
  hostContext: { theme: "dark", displayMode: "inline" },
});
bridge.oncalltool = (params) => relay("tools/call", params);
bridge.onreadresource = (params) => relay("resources/read", params);
bridge.onopenlink = async ({ url }) => {
  document.body.dataset.opened = url;
  return {};
};
bridge.onsizechange = ({ height }) => {
  frame.style.height = `${height}px`;
};
bridge.oninitialized = () => {
  document.body.dataset.app = bridge.getAppVersion().name;
};
window.dress = (theme) => bridge.sendHostContextChange({ theme });
window.tell = (uri) => bridge.notification({ method: "notifications/resources/updated", params: { uri } });
window.end = () => bridge.teardownResource({});

await bridge.connect(new PostMessageTransport(frame.contentWindow, frame.contentWindow));
frame.srcdoc = await (await fetch("/panel.html")).text();
