// The tree of components: which definition stands where, with which env vars, and what its children export.

import { RequestError } from "./errors.mjs";

const CHILD = "_reference/childComponent/";

function exportsOf(functions) {
  const root = {};
  for (const [path, { functions: found }] of Object.entries(functions)) {
    const parts = path.replace(/\.js$/, "").split("/");
    for (const { name, visibility } of found) {
      if (visibility?.kind !== "public") continue;
      let branch = root;
      for (const part of parts) branch = branch[part] ??= {};
      branch[name] = `${path}:${name}`;
    }
  }
  return root;
}

function serialized(tree) {
  const node = (child) =>
    typeof child === "string" ? { type: "leaf", leaf: `_reference/function/${child}` } : serialized(child);
  return { type: "branch", branch: Object.entries(tree).map(([name, child]) => [name, node(child)]) };
}

function checkedExports(tree, component) {
  const node = (child) =>
    typeof child === "string"
      ? { type: "leaf", resource: { type: "function", path: { component, udfPath: child } } }
      : { type: "branch", children: checkedExports(child, component) };
  return Object.fromEntries(Object.entries(tree).map(([name, child]) => [name, node(child)]));
}

/** Return a component definition's `exports`, as codegen reads them: each of its public functions. */
export function definitionExports(functions) {
  return serialized(exportsOf(functions));
}

function boundEnv(bindings, parentEnv) {
  const bound = (bindings ?? []).map(([name, binding]) => [
    name,
    binding.type === "value" ? binding.value : parentEnv[binding.name],
  ]);
  return Object.fromEntries(bound.filter(([, value]) => value !== undefined));
}

/** One component where it is mounted. */
export class Component {
  constructor({ path, definitionPath, analysis, env, mounts }) {
    this.path = path;
    this.definitionPath = definitionPath;
    this.analysis = analysis;
    this.env = env;
    /** HTTP prefixes to child component paths. */
    this.mounts = mounts;
    this.children = new Map();
  }

  /** As `start_push` answers it. */
  checked() {
    const routes = this.analysis.functions["http.js"]?.httpRoutes ?? null;
    return {
      definitionPath: this.definitionPath,
      componentPath: this.path,
      args: {},
      childComponents: Object.fromEntries([...this.children].map(([name, child]) => [name, child.checked()])),
      httpRoutes: { httpModuleRoutes: routes?.map(({ route }) => route) ?? null, mounts: [...this.mounts.keys()] },
      exports: this.path === "" ? {} : checkedExports(exportsOf(this.analysis.functions), this.path),
    };
  }
}

/** Mount the definitions as the app's `use` calls say; component path to component. Throws `InvalidConfig`. */
export function mountComponents(analysis, { env, builtIn }) {
  const components = new Map();
  const mount = (path, definitionPath, own) => {
    const found = analysis[definitionPath];
    if (!found) throw new RequestError("InvalidConfig", `Component definition ${definitionPath} was not pushed.`);
    const at = (name) => (path === "" ? name : `${path}/${name}`);
    const mounts = new Map(
      Object.entries(found.definition.httpMounts).map(([prefix, reference]) => [
        prefix,
        at(reference.slice(CHILD.length)),
      ]),
    );
    const component = new Component({ path, definitionPath, analysis: found, env: own, mounts });
    components.set(path, component);
    for (const child of found.definition.childComponents) {
      if (component.children.has(child.name))
        throw new RequestError(
          "InvalidConfig",
          `Component name "${child.name}" is used twice. Give one another name: app.use(component, { name: "…" }).`,
        );
      component.children.set(
        child.name,
        mount(at(child.name), child.path, { ...boundEnv(child.env, own), ...builtIn }),
      );
    }
    return component;
  };
  mount("", "", env);
  return components;
}

/** Resolve `_reference/childComponent/a/b/c` seen from *component* to the child's path and `b:c`. */
export function resolveReference(components, component, reference) {
  const parts = reference.startsWith(CHILD) ? reference.slice(CHILD.length).split("/") : [];
  const child = components.get(component)?.children.get(parts[0]);
  if (!child)
    throw new Error(`Component ${component || "the app"} has no child component for the reference ${reference}`);
  return { component: child.path, path: `${parts.slice(1, -1).join("/")}:${parts.at(-1)}` };
}
