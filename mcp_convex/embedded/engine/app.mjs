// The loaded push: its analysis, its components, and each function ready to be called.

import { analyzeFunctions } from "./analysis.mjs";
import { definitionExports, mountComponents } from "./components.mjs";
import { installCommonJs } from "./globals.mjs";
import { Push } from "./modules.mjs";
import { checkSchema } from "./schemas.mjs";

const EXPORTS = { type: "branch", branch: [] };

function udfConfig({ udfServerVersion }) {
  return {
    serverVersion: udfServerVersion ?? "1000.0.0",
    importPhaseRngSeed: { $bytes: Buffer.alloc(32).toString("base64") },
    importPhaseUnixTimestamp: { $integer: Buffer.alloc(8).toString("base64") },
  };
}

/** Children come first, so that a parent can know their names. */
function dependenciesFirst(definitions) {
  const byPath = new Map(definitions.map((definition) => [definition.definitionPath, definition]));
  const sorted = new Set();
  const visit = (definition, above) => {
    if (definition === undefined || sorted.has(definition) || above.includes(definition)) return;
    for (const path of definition.dependencies ?? []) visit(byPath.get(path), [...above, definition]);
    sorted.add(definition);
  };
  for (const definition of definitions) visit(definition, []);
  return [...sorted];
}

export class App {
  #push;
  #modules = new Map();
  #env = {};
  analysis = { "": { definition: { httpMounts: {}, childComponents: [] }, functions: {} } };
  components = mountComponents(this.analysis, { env: {}, builtIn: {} });
  appAuth = [];
  urls = { cloud: "", site: "" };
  name = "embedded";

  /** Load the push at *root*, if there is one. Throws the errors of `load`. */
  static async load({ root, env, urls, name }) {
    const app = new App();
    app.urls = urls;
    app.name = name ?? app.name;
    app.#env = env;
    if (root) await app.#load(root);
    app.#mount();
    return app;
  }

  async #load(root) {
    this.#push = new Push(root);
    if (this.#push.needsNode) installCommonJs(this.#push.root);
    await this.#analyze();
    this.appAuth = await this.#push.authProviders({ ...this.#env, ...this.#builtIn });
  }

  get #builtIn() {
    return { CONVEX_CLOUD_URL: this.urls.cloud, CONVEX_SITE_URL: this.urls.site };
  }

  async #analyze() {
    const names = new Map();
    const env = { ...this.#env, ...this.#builtIn };
    for (const definition of dependenciesFirst(this.#push.definitions)) {
      const { definitionPath } = definition;
      const { name, ...metadata } = await this.#push.definition(definition, names);
      names.set(definitionPath, name);
      const schema = await this.#push.schema(definition);
      checkSchema(schema);
      const modules = await this.#push.importFunctions(definition, definitionPath === "" ? env : this.#builtIn);
      const functions = analyzeFunctions(modules);
      const exported = definitionPath === "" ? EXPORTS : definitionExports(functions);
      this.#modules.set(definitionPath, modules);
      this.analysis[definitionPath] = {
        definition: { path: definitionPath, ...metadata, exports: exported },
        schema,
        functions,
        udfConfig: udfConfig(definition),
      };
    }
  }

  #mount() {
    const env = { ...this.#env, ...this.#builtIn };
    this.components = mountComponents(this.analysis, { env, builtIn: this.#builtIn });
  }

  /** Return the app under other env vars, its modules imported anew from a copy at *root*. Throws the errors of `load`. */
  renewed(env, root) {
    return App.load({ root, env, urls: this.urls, name: this.name });
  }

  /** The answer to `load`. */
  describe() {
    const { analysis, appAuth } = this;
    const components = Object.fromEntries(
      [...this.components].map(([path, { definitionPath }]) => [path, definitionPath]),
    );
    return {
      analysis,
      app: this.components.get("").checked(),
      appAuth,
      schemas: this.schemas(),
      components,
      missingEnv: this.#missingEnv(),
    };
  }

  /** Component path to schema or null. */
  schemas() {
    return Object.fromEntries(
      [...this.components].map(([path, component]) => [path, component.analysis.schema ?? null]),
    );
  }

  #missingEnv() {
    const declared = this.analysis[""].definition.envVars ?? [];
    return declared.filter(([name, { optional }]) => !optional && this.#env[name] === undefined).map(([name]) => name);
  }

  envOf(component) {
    return this.components.get(component)?.env ?? {};
  }

  /** Return `messages.js:send` of a component, ready to be called, or null. */
  function(component, path) {
    const mounted = this.components.get(component);
    const [modulePath, name] = path.split(":");
    const analyzed = mounted?.analysis.functions[modulePath]?.functions.find((one) => one.name === name);
    if (!analyzed) return null;
    const { namespace, environment } = this.#modules.get(mounted.definitionPath).get(modulePath);
    const { udfType, visibility } = analyzed;
    return {
      path,
      udfType,
      visibility,
      environment,
      fn: namespace[name],
      args: JSON.parse(analyzed.args),
      returns: JSON.parse(analyzed.returns),
    };
  }

  /** Return a component's HTTP router, or null. */
  router(component) {
    const mounted = this.components.get(component);
    return this.#modules.get(mounted.definitionPath)?.get("http.js")?.namespace.default ?? null;
  }

  /** List `{component, name, udfPath, udfArgs, cronSchedule}` of every cron. */
  crons() {
    return [...this.components].flatMap(([component, { analysis }]) =>
      (analysis.functions["crons.js"]?.cronSpecs ?? []).map(([name, spec]) => ({ component, name, ...spec })),
    );
  }
}
