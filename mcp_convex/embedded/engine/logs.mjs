// What functions print, and the entries of the function log.

import { inspect } from "node:util";

const MAX_LINES = 256;
const MAX_LINE_BYTES = 4096;

/** The lines that one execution has logged, bounded as in Convex. */
export class LogBook {
  lines = [];

  add(level, args) {
    if (this.lines.length > MAX_LINES) return;
    if (this.lines.length === MAX_LINES) {
      args = ["Log overflow (maximum 256). Remaining log lines omitted."];
      level = "ERROR";
    }
    const messages = args.map((arg) => inspect(arg, { depth: 4, breakLength: 80 }));
    const isTruncated = messages.join(" ").length > MAX_LINE_BYTES;
    this.lines.push({
      messages: isTruncated ? [messages.join(" ").slice(0, MAX_LINE_BYTES)] : messages,
      isTruncated,
      timestamp: Date.now(),
      level,
    });
  }

  /** Return the lines as strings, such as `[LOG] 'sent' { n: 1 }`. */
  texts() {
    return this.lines.map(
      ({ level, messages, isTruncated }) =>
        `[${level}] ${messages.join(" ")}${isTruncated ? " (truncated due to length)" : ""}`,
    );
  }
}

const NO_USAGE = {
  databaseReadBytes: 0,
  databaseWriteBytes: 0,
  databaseIoReadBytes: 0,
  databaseIoWriteBytes: 0,
  databaseReadDocuments: 0,
  databaseWriteDocuments: 0,
  databaseWriteIndexRows: 0,
  storageReadBytes: 0,
  storageWriteBytes: 0,
  textIndexReadBytes: 0,
  textIndexWriteBytes: 0,
  vectorIndexReadBytes: 0,
  vectorIndexWriteBytes: 0,
  memoryUsedMb: 0,
};

function identityType({ identity, call }) {
  if (identity) return "user";
  return call.caller === "Scheduler" || call.caller === "Cron" ? "system" : "admin";
}

/** Make one entry of `stream_function_logs` from an execution that has ended. */
export function completion(frame, { startedMs, durationMs, error = null, value }) {
  return {
    kind: "Completion",
    udfType: frame.kind,
    componentPath: frame.component === "" ? null : frame.component,
    identifier: frame.path,
    logLines: frame.logs.lines,
    timestamp: Date.now() / 1000,
    cachedResult: false,
    caller: frame.call.caller ?? "Tester",
    parentExecutionId: frame.call.parentExecutionId ?? null,
    executionTime: durationMs / 1000,
    userExecutionTime: durationMs / 1000,
    success: error === null ? (frame.kind === "HttpAction" ? { status: String(value) } : {}) : null,
    error,
    requestId: frame.call.requestId,
    executionId: frame.call.executionId,
    usageStats: {
      ...NO_USAGE,
      databaseReadDocuments: frame.transaction?.used.documentsRead ?? 0,
      databaseWriteDocuments: frame.transaction?.used.documentsWritten ?? 0,
    },
    returnBytes: error === null && typeof value === "string" ? value.length : null,
    occInfo: null,
    willRetry: false,
    executionTimestamp: startedMs / 1000,
    identityType: identityType(frame),
    environment: frame.environment,
  };
}
