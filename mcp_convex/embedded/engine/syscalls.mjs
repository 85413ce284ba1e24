// `globalThis.Convex`: what the bundled `convex/server` asks of its runtime, answered for the frame that asks.

import { canonicalPath } from "./analysis.mjs";
import { resolveReference } from "./components.mjs";
import { FunctionFailure } from "./errors.mjs";
import { currentFrame } from "./frames.mjs";
import { QueryStream, readPage, visible } from "./queries.mjs";
import { searchVector } from "./search.mjs";
import { integer } from "./values.mjs";

const HANDLE = "function://";
const READ_ONLY = "System tables (prefixed with `_`) are read-only.";
const LIMITS = {
  bytesRead: 16 * 2 ** 20,
  bytesWritten: 16 * 2 ** 20,
  databaseQueries: 4096,
  documentsRead: 32000,
  documentsWritten: 16000,
  functionsScheduled: 1000,
  scheduledFunctionArgsBytes: 16 * 2 ** 20,
  filesWritten: 1000,
  fileWriteBytes: 256 * 2 ** 20,
  filesRead: 1000,
  fileReadBytes: 256 * 2 ** 20,
};

function withinTransaction(frame) {
  if (frame.transaction === null) throw new Error("The database is only available in queries and mutations.");
  return frame.transaction;
}

function writable(frame) {
  if (frame.kind !== "Mutation") throw new Error("The database can only be written in mutations.");
  return frame.transaction;
}

export class Syscalls {
  #database;
  #runner;
  #scheduler;
  #files;
  #app;
  #nextQuery = 1;

  constructor({ database, runner, scheduler, files, app }) {
    this.#database = database;
    this.#runner = runner;
    this.#scheduler = scheduler;
    this.#files = files;
    this.#app = app;
  }

  /** Return the object that app code finds as `globalThis.Convex`. */
  global() {
    return {
      syscall: (op, args) => JSON.stringify(find(this.#sync, op)(this.#frame(), JSON.parse(args))),
      asyncSyscall: (op, args) => this.#answer(op, args),
      jsSyscall: (op, args) => find(this.#js, op)(this.#frame(), args),
    };
  }

  #frame() {
    const frame = currentFrame();
    if (frame === null || frame.kind === "import") throw new Error("Convex functions cannot be called at import time.");
    if (frame.ended) throw new Error("The function that this call belongs to has already returned.");
    return frame;
  }

  async #answer(op, text) {
    const frame = this.#frame();
    const answer = find(this.#async, op)(frame, JSON.parse(text));
    return JSON.stringify((await answer) ?? null);
  }

  #js = {
    "storage/storeBlob": async (frame, { blob, options }) =>
      this.#files.store(frame, Buffer.from(await blob.arrayBuffer()), {
        contentType: blob.type,
        sha256: options?.sha256,
      }),
    "storage/getBlob": async (frame, { storageId }) => {
      const found = this.#files.read(frame, storageId);
      return found === null ? null : new Blob([found.bytes], { type: found.contentType ?? "" });
    },
  };

  #sync = {
    "1.0/queryStream": (frame, { query }) => this.#openQuery(frame, query),
    "1.0/queryCleanup": (frame, { queryId }) => frame.queries.delete(queryId),
    "1.0/db/normalizeId": (frame, args) => this.#normalizeId(frame, args),
    "1.0/getSnapshotTs": (frame) => integer(withinTransaction(frame).snapshotTs),
  };

  #openQuery(frame, query) {
    const stream = new QueryStream(this.#database, withinTransaction(frame), frame.component, query);
    const queryId = this.#nextQuery++;
    frame.queries.set(queryId, stream);
    return { queryId };
  }

  #readPage(frame, args) {
    if (frame.component !== "") {
      throw new Error(
        "paginate() is only supported in the app. Learn more at https://docs.convex.dev/components/authoring#pagination",
      );
    }
    const page = readPage(this.#database, withinTransaction(frame), frame.component, args);
    if (frame.hasPaginated) {
      throw new Error(
        "This query or mutation function ran multiple paginated queries. Convex only supports a single paginated query in each function.",
      );
    }
    frame.hasPaginated = true;
    return page;
  }

  #normalizeId(frame, { table, idString }) {
    const found = this.#database.tableOfId(frame.component, idString);
    return { id: found?.name === table ? idString : null };
  }

  #checkId(frame, { id, table, isSystem }, method) {
    const invalid = (reason) => new Error(`Invalid argument \`id\` for \`db.${method}\`: ${reason}`);
    if (typeof id !== "string") throw invalid(`expected a string, got ${JSON.stringify(id)}`);
    const found = this.#database.tableOfId(frame.component, id);
    if (found === null && !/^[0-9a-z]{31,37}$/.test(id))
      throw invalid(`Unable to decode ID: Invalid ID length ${id.length}`);
    if (found && table !== undefined && table !== found.name)
      throw invalid(`ID "${id}" is from table \`${found.name}\`, expected \`${table}\``);
    const system = found?.name.startsWith("_") ?? isSystem;
    if (isSystem === undefined && system) throw new Error(READ_ONLY);
    if (isSystem !== undefined && system !== isSystem) {
      throw new Error(
        `${system ? "System" : "User"} tables can only be accessed from db.${system ? "system." : ""}${method}().`,
      );
    }
    return id;
  }

  #databaseOps = {
    "1.0/get": (frame, args) =>
      visible(withinTransaction(frame).get(frame.component, this.#checkId(frame, args, "get"))),
    "1.0/queryStreamNext": (frame, { queryId }) => {
      const value = frame.queries.get(queryId)?.next() ?? null;
      return { value, done: value === null };
    },
    "1.0/queryPage": (frame, args) => this.#readPage(frame, args),
    "1.0/count": (frame, { table }) => {
      withinTransaction(frame).noteRead(frame.component, table);
      return this.#database.table(frame.component, table)?.documents.size ?? 0;
    },
    "1.0/insert": async (frame, { table, value }) => {
      await frame.tail;
      return { _id: writable(frame).insert(frame.component, table, value) };
    },
    "1.0/shallowMerge": async (frame, { id, value, table }) => {
      await frame.tail;
      writable(frame).patch(frame.component, this.#checkId(frame, { id, table }, "patch"), value);
    },
    "1.0/replace": async (frame, { id, value, table }) => {
      await frame.tail;
      writable(frame).replace(frame.component, this.#checkId(frame, { id, table }, "replace"), value);
    },
    "1.0/remove": async (frame, { id, table }) => {
      await frame.tail;
      writable(frame).remove(frame.component, this.#checkId(frame, { id, table }, "delete"));
    },
  };

  /** Return which function an address of any kind means, seen from *frame*. */
  #address(frame, { name, reference, functionHandle }) {
    if (functionHandle !== undefined) {
      const [component, path] = functionHandle.slice(HANDLE.length).split(";");
      return { component, path };
    }
    if (reference !== undefined) return resolveReference(this.#app().components, frame.component, reference);
    return { component: frame.component, path: name };
  }

  #runUdf(frame, { udfType, args, transactionLimits: limits, ...address }) {
    withinTransaction(frame);
    const kind = udfType === "mutation" ? "Mutation" : "Query";
    if (kind === "Mutation" && frame.kind !== "Mutation") throw new Error("Only a mutation can run a mutation.");
    const result = frame.tail.then(() =>
      this.#runner.nested(frame, { kind, args, limits, ...this.#address(frame, address) }),
    );
    frame.tail = result.then(
      () => {},
      () => {},
    );
    return result;
  }

  async #runFromAction(kind, frame, { args, ...address }) {
    if (frame.transaction !== null) throw new Error("Only an action can run functions this way.");
    const target = this.#address(frame, address);
    const call = { ...frame.call, executionId: undefined, parentExecutionId: frame.call.executionId, caller: "Action" };
    const identity = target.component === frame.component ? frame.identity : null;
    const outcome = await this.#runner.run({ kind, args, identity, call, internal: true, ...target });
    if (outcome.failure) throw new FunctionFailure(outcome.failure.message, outcome.failure.data);
    return outcome.value;
  }

  #schedule(frame, { ts, args, ...address }) {
    const target = this.#address(frame, address);
    const { path, udfType } = this.#runner.lookup(target.component, target.path);
    if (udfType === "Query")
      throw new Error(`Only mutations and actions can be scheduled, and ${target.path} is a query.`);
    return this.#scheduler.schedule(frame, { path, component: target.component, args, scheduledTime: ts * 1000 });
  }

  #callOps = {
    "1.0/runUdf": (frame, args) => this.#runUdf(frame, args),
    "1.0/actions/query": (frame, args) => this.#runFromAction("Query", frame, args),
    "1.0/actions/mutation": (frame, args) => this.#runFromAction("Mutation", frame, args),
    "1.0/actions/action": (frame, args) => this.#runFromAction("Action", frame, args),
    "1.0/schedule": (frame, args) => this.#schedule(frame, args),
    "1.0/actions/schedule": (frame, args) => this.#schedule(frame, args),
    "1.0/cancel_job": (frame, { id }) => this.#scheduler.cancel(frame, id),
    "1.0/actions/cancel_job": (frame, { id }) => this.#scheduler.cancel(frame, id),
    "1.0/createFunctionHandle": (frame, args) => {
      const { component, path } = this.#address(frame, args);
      this.#runner.lookup(component, path);
      return `${HANDLE}${component};${canonicalPath(path)}`;
    },
    "1.0/actions/vectorSearch": (frame, { query }) => {
      const [name, indexName] = query.indexName.split(".");
      const index = this.#database
        .schemaOf(frame.component, name)
        ?.vectorIndexes?.find((one) => one.indexDescriptor === indexName);
      if (!index) throw new Error(`Index ${query.indexName} not found.`);
      return {
        results: searchVector(this.#database.table(frame.component, name)?.documents.values() ?? [], index, query),
      };
    },
  };

  #metaOps = {
    "1.0/getUserIdentity": (frame) => frame.identity,
    "1.0/getFunctionMetadata": (frame) => ({ name: frame.path, componentPath: frame.component }),
    "1.0/getDeploymentMetadata": () => ({ name: this.#app().name, region: null, class: "s256" }),
    "1.0/getRequestMetadata": ({ call }) => ({
      ip: call.ip ?? null,
      userAgent: call.userAgent ?? null,
      requestId: call.requestId,
      scheduledFunctionId: call.scheduledFunctionId ?? null,
      authToken: call.authToken ?? null,
    }),
    "1.0/getTransactionMetrics": (frame) => {
      const { used, limits } = withinTransaction(frame);
      const metric = ([name, limit]) => {
        const spent = used[name] ?? 0;
        return [name, { used: spent, remaining: (limits[name] ?? limit) - spent }];
      };
      return Object.fromEntries(Object.entries(LIMITS).map(metric));
    },
    "1.0/auditLog": (frame, { body }) => frame.logs.add("INFO", ["audit", body]),
  };

  #storageOps = {
    "1.0/storageGetUrl": (frame, { storageId }) => this.#files.url(frame, storageId),
    "1.0/storageGetMetadata": (frame, { storageId }) => this.#files.metadata(frame, storageId),
    "1.0/storageGenerateUploadUrl": (frame) => this.#files.uploadUrl(frame.component),
    "1.0/storageDelete": (frame, { storageId }) => this.#files.delete(frame, storageId),
    "1.0/storageStore": (frame, { blob, contentType, sha256 }) =>
      this.#files.store(frame, Buffer.from(blob, "base64"), { contentType, sha256 }),
    "1.0/storageGet": (frame, { storageId }) => {
      const found = this.#files.read(frame, storageId);
      return found === null ? null : { blob: found.bytes.toString("base64"), contentType: found.contentType };
    },
  };

  #async = { ...this.#databaseOps, ...this.#callOps, ...this.#metaOps, ...this.#storageOps };
}

function find(ops, op) {
  if (Object.hasOwn(ops, op)) return ops[op];
  throw new Error(`Unknown async operation ${op}: the embedded deployment does not have it.`);
}
