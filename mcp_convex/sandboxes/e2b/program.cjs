// Runs inside the sandbox, one process a task: `node program.cjs look | prepare | install | run | watch`.
// It reads its request as the first line of standard input, and writes one JSON object a line to standard output.
const { spawn } = require("node:child_process");
const { createHash } = require("node:crypto");
const fs = require("node:fs");
const net = require("node:net");
const os = require("node:os");
const path = require("node:path");

const HOME = os.homedir();
const WORKSPACE = path.join(HOME, "app");
const OWN = path.join(HOME, ".mcp-convex");
let stage; // the copy of the sources that the command sees: each server has its own
const TEMPORARY = ".tmp"; // where commands put temporary files, a folder of the stage
const TEMPLATE = "/opt/convex";
const MARK = "MCP_CONVEX_RUN=";
const SPARE_BYTES = 256 * 1024 * 1024; // what there must be left for a command that only waits; one takes 100 MB

const say = (message) => process.stdout.write(JSON.stringify(message) + "\n");
const sha256 = (data) => createHash("sha256").update(data).digest("hex");
const encoded = (data) => data.toString("base64");

function attempt(work, otherwise) {
  try {
    return work();
  } catch {
    return otherwise;
  }
}

// --- the workspace's files -----------------------------------------------------------------------------------------

// `rules`: which folders hold no sources, except below those that are kept.
function sources(rules) {
  const found = { files: [], packages: [], folders: [] };
  const pending = [""];
  while (pending.length) {
    const folder = pending.pop();
    found.folders.push(folder);
    for (const entry of fs.readdirSync(path.join(WORKSPACE, folder), { withFileTypes: true })) {
      const at = folder + entry.name;
      if (entry.name.startsWith(".")) continue;
      if (entry.name === "node_modules") found.packages.push(at);
      else if (!entry.isDirectory()) {
        if (isSource(at, rules.largest)) found.files.push(at);
      } else if (!rules.skipped.includes(entry.name) || rules.kept.some((kept) => (at + "/").startsWith(kept))) {
        pending.push(at + "/");
      }
    }
    if (found.files.length > rules.most) throw new Error("too many files");
  }
  return found;
}

// A link to a file of the workspace counts as that file; other links do not count.
function isSource(at, largest) {
  return attempt(() => {
    const real = fs.realpathSync(path.join(WORKSPACE, at));
    const info = fs.statSync(real);
    return info.isFile() && info.size <= largest && real.startsWith(fs.realpathSync(WORKSPACE) + path.sep);
  }, false);
}

const contentOf = (at) => attempt(() => fs.readFileSync(path.join(WORKSPACE, at)), null);

// Says what differs from what the host knows: `known` holds hashes by path, `also` names hidden files to look at.
function look({ rules, known, also }) {
  const paths = [...sources(rules).files, ...also.filter((at) => isSource(at, rules.largest))];
  const changed = {};
  for (const at of paths) {
    const data = contentOf(at);
    if (data !== null && known[at] !== sha256(data)) changed[at] = encoded(data);
  }
  const present = new Set(paths);
  return {
    version: attempt(() => fs.readFileSync(path.join(OWN, "version"), "utf8"), null),
    changed,
    missing: Object.keys(known).filter((at) => !present.has(at)),
  };
}

// --- packages ------------------------------------------------------------------------------------------------------

const readJson = (file) => attempt(() => JSON.parse(fs.readFileSync(file, "utf8")), {});
const asked = (folder) => {
  const manifest = readJson(path.join(folder, "package.json"));
  return { ...manifest.dependencies, ...manifest.devDependencies };
};
const inWorkspace = (at) => path.join(WORKSPACE, "node_modules", at);
const stamp = path.join(OWN, "installed");
const fingerprint = () => sha256(JSON.stringify(asked(WORKSPACE)));

// Says whether a version lies in a range of a kind that npm itself writes.
function liesIn(range, version) {
  const numbers = (text) => (/^\d+\.\d+\.\d+$/.test(text) ? text.split(".").map(Number) : null);
  const [least, found] = [numbers(range.replace(/^[~^]/, "")), numbers(version)];
  if (!least || !found) return false;
  const fixed = { "^": least.findIndex((number) => number > 0) + 1, "~": 2 }[range[0]] ?? 3;
  const at = found.findIndex((number, index) => number !== least[index]);
  return at < 0 || (at >= fixed && found[at] > least[at]);
}

// The template's packages serve every project that asks for, or has locked, none beside them; they need no network.
function linkTemplate() {
  const [there, locked] = [asked(TEMPLATE), readJson(path.join(WORKSPACE, "package-lock.json")).packages ?? {}];
  const serves = ([name, range]) => {
    const { version } = readJson(path.join(TEMPLATE, "node_modules", name, "package.json"));
    const other = (locked[`node_modules/${name}`]?.version ?? version) !== version;
    return there[name] === range || (!other && liesIn(String(range), version));
  };
  if (!Object.entries(asked(WORKSPACE)).every(serves)) return false;
  fs.rmSync(inWorkspace(""), { recursive: true, force: true });
  fs.symlinkSync(path.join(TEMPLATE, "node_modules"), inWorkspace("").replace(/\/$/, ""));
  fs.writeFileSync(stamp, fingerprint());
  return true;
}

function packages(compilers) {
  const isDue = attempt(() => fs.readFileSync(stamp, "utf8"), "") !== fingerprint() && !linkTemplate();
  const scripts = ["convex/dist/cli.bundle.cjs", "convex/bin/main.js"];
  return {
    due: isDue,
    convex: readJson(inWorkspace("convex/package.json")).version ?? null,
    cli: scripts.find((script) => fs.existsSync(inWorkspace(script))) ?? null,
    compiler: compilers.some((compiler) => fs.existsSync(inWorkspace(compiler))),
  };
}

// Only what waits for the next push may go on; all else is left over, from a stream that was cut or another server.
function prepare(request) {
  if (!request.needed.every((at) => fs.existsSync(path.join(HOME, at)))) throw new Error("a file of ours is gone");
  endAll("", null, request.spared);
  const stages = fs.readdirSync(OWN).filter((name) => name.startsWith("stage") && name !== request.stage);
  for (const name of stages) fs.rmSync(path.join(OWN, name), { recursive: true, force: true });
  return { ...look(request), packages: packages(request.compilers) };
}

function install({ arguments: given, env }) {
  const link = inWorkspace("").replace(/\/$/, "");
  if (attempt(() => fs.lstatSync(link).isSymbolicLink(), false)) fs.unlinkSync(link);
  const npm = spawn("npm", given, {
    cwd: WORKSPACE,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [npm.stdout, npm.stderr]) {
    stream.setEncoding("utf8").on("data", (text) => (output = (output + text).slice(-65536)));
  }
  npm.on("error", () => finish({ code: 127, output }));
  npm.on("close", (code) => {
    if (code === 0) fs.writeFileSync(stamp, fingerprint());
    finish({ code, output });
  });
}

// --- a command -----------------------------------------------------------------------------------------------------

// Makes the stage hold the workspace's sources and nothing else of it, so that no env file decides what the CLI does.
// What stays is never missing in between: a command that waits stands there, and may still be reading as it loads.
function makeStage({ rules, replaced }) {
  const { files, packages: folders } = sources(rules);
  if (!attempt(() => fs.lstatSync(stage).isDirectory(), false)) fs.rmSync(stage, { force: true });
  fs.mkdirSync(stage, { recursive: true });
  clearStage(new Set(files), new Set(folders));
  fs.mkdirSync(path.join(stage, TEMPORARY));
  for (const at of files) putInStage(at, at in replaced ? Buffer.from(replaced[at]) : contentOf(at));
  for (const at of folders) {
    fs.mkdirSync(path.dirname(path.join(stage, at)), { recursive: true });
    attempt(() => fs.symlinkSync(path.join(WORKSPACE, at), path.join(stage, at)));
  }
}

// Removes what is neither one of *files* nor the link to one of *packages*, with the folders in which there is none.
function clearStage(files, packages) {
  const wanted = new Set([...files, ...packages].flatMap(foldersOf));
  const pending = [""];
  while (pending.length) {
    const folder = pending.pop();
    for (const entry of fs.readdirSync(path.join(stage, folder), { withFileTypes: true })) {
      const at = folder + entry.name;
      const place = path.join(stage, at);
      if (entry.isDirectory() && wanted.has(at)) pending.push(at + "/");
      else if (entry.isFile() && files.has(at)) continue;
      else if (packages.has(at) && attempt(() => fs.readlinkSync(place), null) === path.join(WORKSPACE, at)) continue;
      else fs.rmSync(place, { recursive: true, force: true });
    }
  }
}

function foldersOf(at) {
  const parts = at.split("/").slice(0, -1);
  return parts.map((_, index) => parts.slice(0, index + 1).join("/"));
}

function putInStage(at, data) {
  const [place, copy] = [path.join(stage, at), path.join(stage, TEMPORARY, "copy")];
  if (data === null) return fs.rmSync(place, { force: true }); // deleted since it was found
  if (attempt(() => fs.readFileSync(place).equals(data), false)) return;
  fs.mkdirSync(path.dirname(place), { recursive: true });
  fs.writeFileSync(copy, data);
  fs.renameSync(copy, place);
}

// What a command that waits may have read already; where that has changed, it has to begin anew.
function premises() {
  const files = ["package.json", "convex.json", "node_modules/.package-lock.json"];
  const contents = files.map((at) => attempt(() => sha256(fs.readFileSync(path.join(WORKSPACE, at))), ""));
  const folder = attempt(() => fs.statSync(inWorkspace("")), {});
  return [...contents, folder.ino, folder.mtimeMs].join();
}

// Carries connections to a port of the sandbox to the host, as pieces of base64 in lines of this process's output.
// Returns the address, at a port that is free: beside the command that waits another may run.
function forward(connections) {
  let last = 0;
  const server = net.createServer({ allowHalfOpen: true }, (client) => {
    const id = ++last;
    connections.set(id, client);
    say({ open: id });
    client.on("data", (data) => say({ data: [id, encoded(data)] }));
    client.on("end", () => say({ end: id }));
    client.on("error", () => client.destroy());
    client.on("close", () => {
      connections.delete(id);
      say({ gone: id });
    });
  });
  const address = () => `127.0.0.1:${server.address().port}`;
  return new Promise((resolve, reject) => server.on("error", reject).listen(0, "127.0.0.1", () => resolve(address())));
}

// `request.order` says how the command is to run; without it, the command waits for one.
async function run(request, onLine) {
  if (!request.order && os.freemem() < SPARE_BYTES) return finish({ code: 137, spoiled: true });
  stage = path.join(OWN, request.stage);
  makeStage(request);
  const connections = new Map();
  const gate = request.gate && (await forward(connections));
  const home = path.join(OWN, "home");
  fs.mkdirSync(home, { recursive: true });
  const env = { PATH: process.env.PATH, HOME: home, TMPDIR: path.join(stage, TEMPORARY), LANG: "C.UTF-8", ...request.env };
  const [program, ...argv] = request.argv.map((text) => (gate ? text.replaceAll(request.gate, gate) : text));
  const known = premises();
  const child = spawn(program, argv, {
    cwd: stage,
    env: { ...env, MCP_CONVEX_RUN: request.id },
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (out) => say({ out }));
  let order = null;
  let isOver = false;
  const end = () => {
    isOver = true;
    endAll(request.id, child.pid);
  };
  const begin = (given) => {
    order = given;
    setTimeout(end, order.deadline * 1000);
  };
  onLine((line) => {
    if (line.stop) end();
    else if (line.go) {
      if (isOver || premises() !== known) end();
      else {
        makeStage(line.go);
        begin(line.go);
      }
    } else if (line.data) connections.get(line.data[0])?.write(Buffer.from(line.data[1], "base64"));
    else if (line.end) connections.get(line.end)?.end();
  });
  if (request.order) begin(request.order);
  child.on("error", () => finish({ code: 127 }));
  child.on("exit", end);
  child.on("close", (code) => finish({ code: code ?? 137, spoiled: !order, ...bringBack(order?.keep ?? []) }));
}

// Ends every process that bears a run's mark, or belongs to its session: also what called setsid.
function endAll(id, session, spared) {
  for (let round = 0; round < 100; round++) {
    const left = fs
      .readdirSync("/proc")
      .filter((pid) => /^\d+$/.test(pid) && belongs(pid, MARK + id, session, MARK + spared));
    if (!left.length) return;
    for (const pid of left) attempt(() => process.kill(Number(pid), "SIGKILL"));
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
  }
}

function belongs(pid, mark, session, spared) {
  const stat = attempt(() => fs.readFileSync(`/proc/${pid}/stat`, "latin1"), ") Z").split(") ").pop().split(" ");
  if (stat[0] === "Z") return false;
  if (session && Number(stat[3]) === session) return true;
  const env = attempt(() => fs.readFileSync(`/proc/${pid}/environ`, "latin1"), "").split("\0");
  return env.some((entry) => entry.startsWith(mark) && entry !== spared);
}

// Carries what a command changed in the folders *keep* over to the workspace, and says what it was.
function bringBack(keep) {
  const changed = {};
  const missing = [];
  for (const folder of keep) {
    const [before, after] = [filesIn(WORKSPACE, folder), filesIn(stage, folder)];
    for (const [at, data] of after) {
      if (before.get(at)?.equals(data)) continue;
      fs.mkdirSync(path.dirname(path.join(WORKSPACE, at)), { recursive: true });
      fs.writeFileSync(path.join(WORKSPACE, at), data);
      changed[at] = encoded(data);
    }
    for (const at of before.keys()) {
      if (after.has(at)) continue;
      fs.unlinkSync(path.join(WORKSPACE, at));
      missing.push(at);
    }
  }
  return { changed, missing };
}

function filesIn(root, folder, found = new Map()) {
  for (const entry of attempt(() => fs.readdirSync(path.join(root, folder), { withFileTypes: true }), [])) {
    const at = `${folder}/${entry.name}`;
    if (entry.isDirectory()) filesIn(root, at, found);
    else if (entry.isFile()) found.set(at, fs.readFileSync(path.join(root, at)));
  }
  return found;
}

// --- what something else writes -----------------------------------------------------------------------------------

// Says when it has begun, and then whenever sources may have changed, for as long as somebody asks for it.
function watch({ rules, patience }, onLine) {
  const watched = new Map();
  let due = null;
  const soon = () => (due ??= setTimeout(look, 20));
  const look = () => {
    due = null;
    // A folder that is new may hold another by the time it is watched.
    while (sources(rules).folders.filter((folder) => watchFolder(folder, watched, soon)).length);
    say({ changed: true });
  };
  let impatient;
  const isAskedFor = () => {
    clearTimeout(impatient);
    impatient = setTimeout(() => process.exit(0), patience * 1000);
  };
  onLine(isAskedFor);
  isAskedFor();
  look();
}

// Says whether the folder is watched from now on, and was not before.
function watchFolder(folder, watched, onChange) {
  if (watched.has(folder) || folder.split("/").includes("_generated")) return false;
  const place = path.join(WORKSPACE, folder);
  try {
    const watcher = fs.watch(place, (kind, name) => {
      // Its own name: it has gone, and what comes in its place has to be watched anew.
      if (kind === "rename" && name === path.basename(place)) {
        watcher.close();
        watched.delete(folder);
      }
      if (!name?.startsWith(".") && !["_generated", "node_modules"].includes(name)) onChange();
    });
    watched.set(folder, watcher);
    return true;
  } catch (error) {
    if (error.code !== "ENOENT") throw error; // there are no more watches, or none for this file system
    return false;
  }
}

// --- requests ------------------------------------------------------------------------------------------------------

function finish(answer) {
  process.stdout.write(JSON.stringify({ answer }) + "\n", () => process.exit(0));
}

function fail(error) {
  finish({ error: error.message });
}

// Each line has a number; one that was sent again, since it might not have arrived, is taken once.
function readLines(onLine) {
  let rest = "";
  let last = 0;
  process.stdin.setEncoding("utf8").on("data", (text) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop();
    for (const line of lines.map((text) => JSON.parse(text))) {
      if (line.number <= last) continue;
      last = line.number;
      onLine(line);
    }
  });
}

let next = (request) => {
  fs.mkdirSync(OWN, { recursive: true });
  const simple = { look, prepare }[process.argv[2]];
  if (simple) finish(simple(request));
  else if (process.argv[2] === "install") install(request);
  else {
    const early = [];
    next = (line) => early.push(line);
    const listen = (onLine) => {
      next = onLine;
      early.forEach(onLine);
    };
    if (process.argv[2] === "watch") watch(request, listen);
    else run(request, listen).catch(fail);
  }
};
process.on("uncaughtException", fail);
readLines((line) => next(line));
