// Reads a push's modules: imports the functions, evaluates definitions, schemas and auth config.

import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

import { RequestError } from "./errors.mjs";
import { Frame, withFallback } from "./frames.mjs";
import { uncaught } from "./trace.mjs";

const PUSHING = "Hit an error while pushing:\nLoading the pushed modules encountered the following\n    error:\n";
const COMPONENT_IMPORT = /(["'])\.\/_componentDeps\/([\w-]+)\1/g;
const AUTH_CONFIG = "auth.config.js";
const WATCHED = Symbol.for("convex.engine.authConfigProcess");

/** Modules are functions' unless the CLI split them off as shared chunks, or they configure. */
function holdsFunctions(path) {
  return !path.startsWith("_deps/") && path !== AUTH_CONFIG;
}

/** A folder `code/<push>` and what its push.json says. */
export class Push {
  constructor(root) {
    this.root = resolve(root);
    this.manifest = JSON.parse(readFileSync(join(this.root, "push.json"), "utf8"));
    this.definitions = [{ ...this.manifest.app, definitionPath: "" }, ...(this.manifest.components ?? [])];
  }

  /** Whether any module begins with `"use node"`. */
  get needsNode() {
    return this.definitions.some(({ modules }) => modules.some(({ environment }) => environment === "node"));
  }

  url({ file }) {
    return pathToFileURL(join(this.root, file)).href;
  }

  source({ file }) {
    return readFileSync(join(this.root, file), "utf8");
  }

  /** Import every module with functions of one definition: path to namespace. Throws `InvalidModules`. */
  async importFunctions(definition, env) {
    const frame = new Frame({ kind: "import", component: "", path: definition.definitionPath, env });
    const modules = new Map();
    for (const module of definition.modules.filter(({ path }) => holdsFunctions(path))) {
      try {
        modules.set(module.path, { ...module, namespace: await withFallback(frame, () => import(this.url(module))) });
      } catch (thrown) {
        throw new RequestError("InvalidModules", `${PUSHING}Failed to analyze ${module.path}: ${uncaught(thrown)}`);
      }
    }
    return modules;
  }

  /** Evaluate a schema module to the JSON it exports, or null. Throws `InvalidSchema`. */
  async schema(definition) {
    if (!definition.schema) return null;
    const frame = new Frame({ kind: "import", component: "", path: "schema", env: {} });
    try {
      const { default: schema } = await withFallback(frame, () => import(this.url(definition.schema)));
      if (typeof schema?.export !== "function")
        throw new Error("Default export of schema.js is not a schema made by `defineSchema`.");
      return JSON.parse(schema.export());
    } catch (thrown) {
      throw new RequestError("InvalidSchema", `Hit an error while evaluating your schema:\n${uncaught(thrown)}`);
    }
  }

  /**
   * Evaluate a component definition to what its `export()` gives. *names* tells each
   * definition's default name. Throws `InvalidConfig`.
   */
  async definition(definition, names) {
    if (!definition.definition)
      return {
        definitionType: { type: "app" },
        childComponents: [],
        httpMounts: {},
        exports: { type: "branch", branch: [] },
      };
    const frame = new Frame({ kind: "import", component: "", path: "convex.config.js", env: {} });
    const code = this.source(definition.definition).replace(COMPONENT_IMPORT, (_, quote, encoded) => {
      const path = Buffer.from(encoded, "base64url").toString();
      const stub = `export default ${JSON.stringify({ componentDefinitionPath: path, defaultName: names.get(path) })}`;
      return JSON.stringify(`data:text/javascript;base64,${Buffer.from(stub).toString("base64")}`);
    });
    try {
      const { default: exported } = await withFallback(frame, () => importText(code));
      if (typeof exported?.export !== "function")
        throw new Error("convex.config.js must export a definition by default.");
      return exported.export();
    } catch (thrown) {
      throw new RequestError(
        "InvalidConfig",
        `Hit an error while evaluating your component definition ${definition.definitionPath || "convex.config.js"}:\n${uncaught(thrown)}`,
      );
    }
  }

  /** Return the auth config's providers, evaluated anew under *env*. Throws `AuthConfigMissingEnvironmentVariable` or `InvalidConfig`. */
  async authProviders(env) {
    const module = this.manifest.app.modules.find(({ path }) => path === AUTH_CONFIG);
    if (!module) return [];
    const missing = new Set();
    const frame = new Frame({ kind: "import", component: "", path: AUTH_CONFIG, env });
    // Its own `process`, for Node reads the global one too while it imports.
    globalThis[WATCHED] = { env: watch(env, missing) };
    let config;
    try {
      const code = `const process = globalThis[Symbol.for("${WATCHED.description}")];${this.source(module)}`;
      ({ default: config } = await withFallback(frame, () => importText(code)));
    } catch (thrown) {
      throw missing.size > 0
        ? unset(missing)
        : new RequestError("InvalidConfig", `Hit an error while evaluating your auth config:\n${uncaught(thrown)}`);
    }
    if (missing.size > 0) throw unset(missing);
    return providers(config);
  }
}

function watch(env, missing) {
  return new Proxy(env, {
    get: (target, name) => {
      if (typeof name === "string" && target[name] === undefined) missing.add(name);
      return target[name];
    },
  });
}

function unset([name]) {
  return new RequestError(
    "AuthConfigMissingEnvironmentVariable",
    `Environment variable ${name} is used in auth config file but its value was not set. Set it in the Convex dashboard or CLI before pushing.`,
  );
}

/** Each import of a text is a new module, so that it is evaluated anew. */
let imports = 0;
export function importText(code) {
  imports += 1;
  const text = `${code.replace(/^\/\/# sourceMappingURL=.*$/m, "")}\n// ${imports}`;
  return import(`data:text/javascript;base64,${Buffer.from(text).toString("base64")}`);
}

function providers(config) {
  if (!Array.isArray(config?.providers)) {
    throw new RequestError("InvalidConfig", "auth.config.js must export `{ providers: […] }` by default.");
  }
  return config.providers.map((provider) => {
    if (provider?.type === "customJwt" && typeof provider.issuer === "string" && typeof provider.jwks === "string") {
      return { applicationID: null, algorithm: "RS256", ...provider };
    }
    if (typeof provider?.domain === "string" && typeof provider.applicationID === "string") return provider;
    throw new RequestError(
      "InvalidConfig",
      'Each provider in auth.config.js needs the strings `domain` and `applicationID`, or `type: "customJwt"` with `issuer` and `jwks`.',
    );
  });
}
