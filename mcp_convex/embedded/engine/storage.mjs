// File storage: bytes below data/files, their metadata as documents of `_storage`, and the tokens of upload URLs.

import { createHash, createHmac, randomBytes, randomUUID, timingSafeEqual } from "node:crypto";
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join, resolve, sep } from "node:path";

import { RequestError } from "./errors.mjs";

const TABLE = "_storage";
const TOKEN_MS = 3_600_000;
const CHUNK = 2 ** 20;

function hashOf(path) {
  const hash = createHash("sha256");
  const chunk = Buffer.alloc(CHUNK);
  const fd = openSync(path, "r");
  for (let read = readSync(fd, chunk); read > 0; read = readSync(fd, chunk)) hash.update(chunk.subarray(0, read));
  closeSync(fd);
  return hash.digest();
}

function sameHash(digest, text) {
  return (
    text === undefined ||
    text === null ||
    text === "" ||
    [digest.toString("hex"), digest.toString("base64")].includes(text)
  );
}

export class Files {
  #database;
  #runner;
  #app;
  #folder;
  #key = null;

  constructor({ database, runner, app, folder }) {
    this.#database = database;
    this.#runner = runner;
    this.#app = app;
    this.#folder = folder;
  }

  /** Make the folders and the key that signs upload tokens, and remove the files of which no document is left. */
  open() {
    for (const name of ["files", "incoming"]) mkdirSync(join(this.#folder, name), { recursive: true, mode: 0o700 });
    const path = join(this.#folder, "upload.key");
    if (!existsSync(path)) writeFileSync(path, randomBytes(32), { mode: 0o600 });
    this.#key = readFileSync(path);
    this.#sweep();
  }

  #sign(text) {
    return createHmac("sha256", this.#key).update(text).digest("base64url");
  }

  uploadUrl(component) {
    const claims = Buffer.from(
      JSON.stringify({ component, expires: Date.now() + TOKEN_MS, nonce: randomUUID() }),
    ).toString("base64url");
    return `${this.#app().urls.cloud}/api/storage/upload?token=${claims}.${this.#sign(claims)}`;
  }

  #readToken(token) {
    const [claims = "", signature = ""] = String(token).split(".");
    const [given, wanted] = [Buffer.from(signature), Buffer.from(this.#sign(claims))];
    if (given.length === wanted.length && timingSafeEqual(given, wanted)) {
      const { component, expires } = JSON.parse(Buffer.from(claims, "base64url"));
      if (expires > Date.now()) return component;
    }
    throw new RequestError("InvalidUploadToken", "The upload URL is not valid, or it has expired.");
  }

  #pathOf(name) {
    return join(this.#folder, "files", name);
  }

  #within(frame, work) {
    return frame.transaction === null ? this.#runner.write(work) : work(frame.transaction);
  }

  #document({ component, transaction }, id) {
    const document = transaction
      ? transaction.get(component, id)
      : this.#database.tableOfId(component, id)?.documents.get(id);
    return document && "$name" in document ? document : null;
  }

  url(frame, id) {
    const document = this.#document(frame, id);
    return document === null ? null : `${this.#app().urls.cloud}/api/storage/${document.$name}`;
  }

  metadata(frame, id) {
    const document = this.#document(frame, id);
    if (document === null) return null;
    const { sha256, size, contentType = null } = document;
    return { storageId: id, sha256: Buffer.from(sha256, "base64").toString("hex"), size, contentType };
  }

  read(frame, id) {
    const document = this.#document(frame, id);
    return document === null
      ? null
      : { bytes: readFileSync(this.#pathOf(document.$name)), contentType: document.contentType ?? null };
  }

  async store(frame, bytes, { contentType, sha256 }) {
    const digest = createHash("sha256").update(bytes).digest();
    if (!sameHash(digest, sha256))
      throw new Error(`Sha256 mismatch: expected ${sha256}, got ${digest.toString("base64")}`);
    const name = randomUUID();
    writeFileSync(this.#pathOf(name), bytes, { mode: 0o600 });
    return this.#within(frame, (transaction) =>
      transaction.add(frame.component, TABLE, this.#record({ name, digest, size: bytes.length, contentType })),
    );
  }

  #record({ name, digest, size, contentType, ...system }) {
    return { ...system, $name: name, sha256: digest.toString("base64"), size, ...(contentType ? { contentType } : {}) };
  }

  async delete(frame, id) {
    const document = this.#document(frame, id);
    if (document === null) throw new Error(`Storage ID ${id} not found.`);
    await this.#within(frame, (transaction) => transaction.remove(frame.component, id));
    // The bytes stay until the next `open`: a transaction that is rolled back must find them again.
  }

  #sweep() {
    const known = new Set();
    for (const table of this.#database.tables()) {
      if (table.name === TABLE) for (const { $name } of table.documents.values()) known.add($name);
    }
    for (const name of readdirSync(join(this.#folder, "files"))) if (!known.has(name)) rmSync(this.#pathOf(name));
  }

  /** Adopt a received file. Throws `InvalidUploadToken`, `Sha256Mismatch` or `BadRequest`. */
  async put({ path, contentType, sha256, token, component = "", storageId: id, creationTime }) {
    const incoming = resolve(path);
    if (!incoming.startsWith(join(this.#folder, "incoming") + sep) || !existsSync(incoming)) {
      throw new RequestError("BadRequest", "`path` is no file below data/incoming.");
    }
    const owner = token === undefined ? component : this.#readToken(token);
    const digest = hashOf(incoming);
    if (!sameHash(digest, sha256)) {
      rmSync(incoming);
      throw new RequestError("Sha256Mismatch", `The file's SHA-256 is ${digest.toString("hex")}.`);
    }
    const name = randomUUID();
    const { size } = statSync(incoming);
    renameSync(incoming, this.#pathOf(name));
    const system = { ...(id ? { _id: id } : {}), ...(creationTime ? { _creationTime: creationTime } : {}) };
    const added = await this.#runner.write((transaction) =>
      transaction.add(owner, TABLE, this.#record({ name, digest, size, contentType, ...system })),
    );
    return { storageId: added, sha256: digest.toString("hex"), size };
  }

  #find({ name, storageId: id, component = "" }) {
    if (id !== undefined) return { component, document: this.#document({ component }, id) };
    for (const table of this.#database.tables()) {
      if (table.name !== TABLE) continue;
      for (const document of table.documents.values())
        if (document.$name === name) return { component: table.component, document };
    }
    return { document: null };
  }

  /** Say where a file lies. Throws `FileNotFound`. */
  get(args) {
    const { document } = this.#find(args);
    if (document === null) throw new RequestError("FileNotFound", "There is no such file.");
    return this.describe(document);
  }

  describe({ _id, _creationTime, $name, sha256, size, contentType = null }) {
    return {
      storageId: _id,
      _id,
      _creationTime,
      path: join("data", "files", $name),
      url: `${this.#app().urls.cloud}/api/storage/${$name}`,
      sha256: Buffer.from(sha256, "base64").toString("hex"),
      size,
      contentType,
    };
  }

  /** Delete a file. Throws `FileNotFound`. */
  async drop(args) {
    const { component, document } = this.#find(args);
    if (document === null) throw new RequestError("FileNotFound", "There is no such file.");
    await this.#runner.write((transaction) => transaction.remove(component, document._id));
    rmSync(this.#pathOf(document.$name), { force: true });
    return {};
  }
}
