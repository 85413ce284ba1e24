// Says what the pushed modules hold, in the shapes of `start_push`: functions, HTTP routes, crons.

import { checkSchedule } from "./crons.mjs";
import { RequestError } from "./errors.mjs";
import { uncaught } from "./trace.mjs";

const FAILED =
  "Hit an error while pushing:\nLoading the pushed modules encountered the following\n    error:\nFailed to analyze ";
const KINDS = { isQuery: "Query", isMutation: "Mutation", isAction: "Action" };

function invalid(path, reason) {
  return new RequestError("InvalidModules", `${FAILED}${path}: ${reason}`);
}

/** Return the kind of a registered function, or null for anything else that a module exports. */
function kindOf(exported) {
  if (typeof exported !== "function") return null;
  return Object.entries(KINDS).find(([mark]) => exported[mark] === true)?.[1] ?? null;
}

function visibilityOf(exported) {
  if (exported.isPublic) return { kind: "public" };
  return exported.isInternal ? { kind: "internal" } : null;
}

function analyzeFunction(path, name, exported) {
  try {
    return {
      name,
      // Only a dashboard shows it, and finding it would cost a push more than all the rest.
      pos: null,
      udfType: kindOf(exported),
      visibility: visibilityOf(exported),
      args: exported.exportArgs?.() ?? null,
      returns: exported.exportReturns?.() ?? null,
    };
  } catch (thrown) {
    throw invalid(path, uncaught(thrown));
  }
}

function analyzeRoutes({ path, namespace }) {
  const router = namespace.default;
  if (router === undefined) throw invalid(path, "The HTTP routes must be exported by default: `export default http;`");
  if (router?.isRouter !== true) throw invalid(path, "The default export of `http.js` is not a Router.");
  return router.getRoutes().map(([route, method]) => ({ route: { path: route, method }, pos: null }));
}

function analyzeCrons({ path, namespace }) {
  const crons = namespace.default;
  if (crons === undefined) throw invalid(path, "The crons must be exported by default: `export default crons;`");
  if (crons?.isCrons !== true) throw invalid(path, "The default export of `crons.js` is not a Crons.");
  return Object.entries(JSON.parse(crons.export())).map(([name, { name: udfPath, args, schedule }]) => {
    try {
      checkSchedule(schedule);
    } catch (wrong) {
      throw invalid(path, `The cron job '${name}' has an invalid schedule: ${wrong.message}`);
    }
    return [name, { udfPath: canonicalPath(udfPath), udfArgs: args, cronSchedule: schedule }];
  });
}

/** Write a function's path as the deployment stores it: `messages.js:send`. */
export function canonicalPath(path) {
  const [module, name = "default"] = path.split(":");
  return `${module.replace(/\.js$/, "")}.js:${name}`;
}

/** Write a function's path as people do: `messages:send`. */
export function displayPath(path) {
  return path.replace(/\.js(?=:|$)/, "");
}

function analyzeModule(module) {
  const { path, namespace } = module;
  const functions = Object.entries(namespace)
    .filter(([, exported]) => kindOf(exported) !== null)
    .map(([name, exported]) => analyzeFunction(path, name, exported));
  return {
    functions,
    httpRoutes: path === "http.js" ? analyzeRoutes(module) : null,
    cronSpecs: path === "crons.js" ? analyzeCrons(module) : null,
    sourceMapped: null,
  };
}

function checkCronTargets(analysis) {
  const known = new Map(
    Object.entries(analysis).flatMap(([path, { functions }]) =>
      functions.map(({ name, udfType }) => [`${path}:${name}`, udfType]),
    ),
  );
  for (const [name, { udfPath }] of analysis["crons.js"]?.cronSpecs ?? []) {
    const kind = known.get(udfPath);
    if (kind === undefined)
      throw invalid(
        "crons.js",
        `The cron job '${name}' schedules a function that does not exist: ${displayPath(udfPath)}`,
      );
    if (kind === "Query")
      throw invalid(
        "crons.js",
        `The cron job '${name}' schedules a query: ${displayPath(udfPath)}. Only mutations and actions can be scheduled.`,
      );
  }
}

/** Analyse one definition's modules: path to `{functions, httpRoutes, cronSpecs}`. Throws `InvalidModules`. */
export function analyzeFunctions(modules) {
  const analysis = Object.fromEntries([...modules].map(([path, module]) => [path, analyzeModule(module)]));
  checkCronTargets(analysis);
  return analysis;
}
