// The documents on disk: one file, one line a commit, written before the commit is answered.

import {
  closeSync,
  existsSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";

import { RequestError } from "./errors.mjs";

const COMPACT_BEYOND = 1000;

function writeAll(fd, text) {
  const bytes = Buffer.from(text);
  for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done);
}

/** An append-only file of JSON lines; a torn last line, left by a kill, counts as never written. */
export class Journal {
  #path;
  #fd = null;
  #size = 0;

  constructor(path) {
    this.#path = path;
  }

  /**
   * Hand each whole line to *replay*, cut off a torn one, and stand ready to append.
   * Throws `DataCorrupt` where a line before the last cannot be read.
   */
  open(replay) {
    mkdirSync(dirname(this.#path), { recursive: true, mode: 0o700 });
    const bytes = existsSync(this.#path) ? readFileSync(this.#path) : Buffer.alloc(0);
    const end = bytes.lastIndexOf(0x0a) + 1;
    let lines = 0;
    for (let start = 0; start < end; lines += 1) {
      const stop = bytes.indexOf(0x0a, start);
      replay(this.#parse(bytes.toString("utf8", start, stop), lines + 1));
      start = stop + 1;
    }
    this.#fd = openSync(this.#path, "a+", 0o600);
    ftruncateSync(this.#fd, end);
    this.#size = end;
    return lines;
  }

  #parse(text, line) {
    try {
      return JSON.parse(text);
    } catch {
      throw new RequestError("DataCorrupt", `Line ${line} of ${this.#path} is damaged.`);
    }
  }

  /** Append one commit; after it, the commit survives this process. On failure (a full disk) nothing of it stays. */
  append(commit) {
    const text = `${JSON.stringify(commit)}\n`;
    try {
      writeAll(this.#fd, text);
    } catch (error) {
      ftruncateSync(this.#fd, this.#size);
      throw error;
    }
    this.#size += Buffer.byteLength(text);
  }

  /** Replace the file by *commits* where it has grown to much more than what is alive. */
  compact(lines, alive, commits) {
    if (lines < COMPACT_BEYOND + 2 * alive) return;
    const fresh = `${this.#path}.new`;
    const fd = openSync(fresh, "w", 0o600);
    for (const commit of commits) writeAll(fd, `${JSON.stringify(commit)}\n`);
    fsyncSync(fd);
    closeSync(fd);
    renameSync(fresh, this.#path);
    this.close();
    this.open(() => {});
  }

  close() {
    if (this.#fd !== null) closeSync(this.#fd);
    this.#fd = null;
  }
}
