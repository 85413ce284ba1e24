// HTTP actions: finds the route, in the app's router or in a component mounted at a prefix, and runs it.

import { Frame } from "./frames.mjs";
import { randomBytes, randomUUID } from "node:crypto";

function plain(status, text) {
  return { status, headers: [["content-type", "text/plain"]], body: Buffer.from(text).toString("base64") };
}

function underPrefix(prefix, pathname) {
  return prefix && pathname.startsWith(prefix) ? pathname.slice(prefix.length - 1) : null;
}

export class HttpActions {
  #app;
  #runner;

  constructor({ app, runner }) {
    this.#app = app;
    this.#runner = runner;
  }

  /** Return `{component, handler, route}`, or null. */
  #match(component, pathname, method) {
    const found = this.#app().router(component)?.lookup(pathname, method);
    if (found) return { component, handler: found[0], route: found[2] };
    for (const [prefix, child] of this.#app().components.get(component).mounts) {
      const inner = underPrefix(prefix, pathname);
      const deeper = inner === null ? null : this.#match(child, inner, method);
      if (deeper !== null) return deeper;
    }
    return null;
  }

  #enabled() {
    return [...this.#app().components.keys()].some((component) => this.#app().router(component) !== null);
  }

  /** Answer one request: `{status, headers, body}`. */
  async answer({ method, url, headers = [], body = null, identity = null, call = {} }) {
    if (!this.#enabled()) return plain(404, "This Convex deployment does not have HTTP actions enabled.");
    const { pathname } = new URL(url);
    const prefix = this.#app().analysis[""]?.definition.httpPrefix;
    const path = prefix ? underPrefix(prefix, pathname) : pathname;
    const found = path === null ? null : this.#match("", path, method);
    if (found === null) return plain(404, "No matching routes found");
    const bytes = body === null || ["GET", "HEAD"].includes(method) ? undefined : Buffer.from(body, "base64");
    return this.#run(found, new Request(url, { method, headers, body: bytes }), { identity, call });
  }

  async #run({ component, handler, route }, request, { identity, call }) {
    const requestId = call.requestId ?? randomBytes(8).toString("hex");
    const context = { caller: "HttpEndpoint", executionId: randomUUID(), ...call, requestId };
    const frame = new Frame({
      kind: "HttpAction",
      component,
      path: `${request.method} ${route}`,
      env: this.#app().envOf(component),
      call: context,
      identity,
    });
    const { failure, value } = await this.#runner.execute(frame, async () => {
      const response = await frame.run(() => handler.invokeHttpAction(request));
      if (!(response instanceof Response)) throw new Error("An HTTP action must return a Response.");
      const body = request.method === "HEAD" ? "" : Buffer.from(await response.arrayBuffer()).toString("base64");
      return { status: response.status, headers: [...response.headers], body };
    });
    if (!failure) return value;
    const text = JSON.stringify({ code: `[Request ID: ${requestId}] Server Error`, trace: failure.message });
    return { ...plain(500, text), headers: [["content-type", "application/json"]] };
  }
}
