// Convex values in their JSON form: reading, ordering, canonical copies. The only module that knows `$integer` and its like.

const RESERVED = new Set(["$integer", "$float", "$bytes", "$commitTs", "$undefined"]);
const MAX_INT64 = 2n ** 63n - 1n;

/** Stands for the commit's timestamp until there is one; it orders as the largest int64. */
export const COMMIT_TS = Symbol("commitTs");

function special(json) {
  const keys = Object.keys(json);
  return keys.length === 1 && RESERVED.has(keys[0]) ? keys[0] : null;
}

const SCALARS = {
  $integer: (text) => Buffer.from(text, "base64").readBigInt64LE(0),
  $float: (text) => Buffer.from(text, "base64").readDoubleLE(0),
  $bytes: (text) => Buffer.from(text, "base64"),
  $commitTs: () => COMMIT_TS,
  $undefined: () => undefined,
};

/** Turn JSON into comparable values: bigint, number, Buffer and so on; `{"$undefined": null}` into undefined. */
export function decode(json) {
  if (json === null || typeof json !== "object") return json;
  if (Array.isArray(json)) return json.map(decode);
  const kind = special(json);
  if (kind !== null) return SCALARS[kind](json[kind]);
  return Object.fromEntries(Object.entries(json).map(([key, value]) => [key, decode(value)]));
}

/** Turn a comparable value back into JSON. */
export function encode(value) {
  if (value === undefined) return { $undefined: null };
  if (value === COMMIT_TS) return { $commitTs: null };
  if (typeof value === "bigint") return integer(value);
  if (typeof value === "number") return float(value);
  if (Buffer.isBuffer(value) || value instanceof ArrayBuffer) return { $bytes: Buffer.from(value).toString("base64") };
  if (Array.isArray(value)) return value.map(encode);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, inner]) => inner !== undefined)
      .map(([key, inner]) => [key, encode(inner)]),
  );
}

export function integer(value) {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(value);
  return { $integer: bytes.toString("base64") };
}

function float(value) {
  if (Number.isFinite(value) && !Object.is(value, -0)) return value;
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return { $float: bytes.toString("base64") };
}

function rank(value) {
  if (value === undefined) return 0;
  if (value === null) return 1;
  if (typeof value === "bigint" || value === COMMIT_TS) return 2;
  if (typeof value === "number") return 3;
  if (typeof value === "boolean") return 4;
  if (typeof value === "string") return 5;
  if (Buffer.isBuffer(value)) return 6;
  return Array.isArray(value) ? 7 : 9;
}

function compareNumbers(a, b) {
  if (a < b) return -1;
  if (a > b) return 1;
  if (a === b) return a !== 0 ? 0 : Number(Object.is(b, -0)) - Number(Object.is(a, -0));
  return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
}

/** UTF-8's order differs from UTF-16's only where surrogates meet other units above them. */
function compareStrings(a, b) {
  if (a === b) return 0;
  const end = Math.min(a.length, b.length);
  for (let i = 0; i < end; i += 1) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return weight(x) - weight(y);
  }
  return a.length - b.length;
}

function weight(unit) {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}

/** Compare lists as tuples. */
export function compareLists(a, b) {
  const end = Math.min(a.length, b.length);
  for (let i = 0; i < end; i += 1) {
    const order = compare(a[i], b[i]);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

function compareObjects(a, b) {
  const pairs = (object) =>
    Object.keys(object)
      .sort(compareStrings)
      .map((key) => [key, object[key]]);
  return compareLists(pairs(a), pairs(b));
}

/** Order two decoded values as Convex orders them across and within types. */
export function compare(a, b) {
  const order = rank(a) - rank(b);
  if (order !== 0) return order;
  switch (rank(a)) {
    case 2: {
      const [x, y] = [a, b].map((value) => (value === COMMIT_TS ? MAX_INT64 : value));
      return x < y ? -1 : Number(x > y);
    }
    case 3:
      return compareNumbers(a, b);
    case 4:
      return Number(a) - Number(b);
    case 5:
      return compareStrings(a, b);
    case 6:
      return Buffer.compare(a, b);
    case 7:
      return compareLists(a, b);
    case 9:
      return compareObjects(a, b);
    default:
      return 0;
  }
}

/** Say which of Convex's types a JSON value has, in the words of `v`. */
export function typeOf(json) {
  if (json === null) return "null";
  if (typeof json === "number") return "float64";
  if (typeof json !== "object") return typeof json;
  if (Array.isArray(json)) return "array";
  const kind = special(json);
  return { $integer: "int64", $float: "float64", $bytes: "bytes", $commitTs: "commitTs" }[kind] ?? "object";
}

/** Read `a.b.c` of a document, in JSON; undefined where there is no such field. */
export function fieldAt(document, path) {
  let value = document;
  for (const part of path.split(".")) {
    if (value === null || typeof value !== "object" || Array.isArray(value) || !Object.hasOwn(value, part))
      return undefined;
    value = value[part];
  }
  return value;
}

/** Copy JSON with every object's keys in Convex's order, frozen, so that documents can be shared without fear. */
export function canonical(json) {
  if (json === null || typeof json !== "object") return json;
  if (Array.isArray(json)) return Object.freeze(json.map(canonical));
  const sorted = {};
  for (const key of Object.keys(json).sort(compareStrings)) sorted[key] = canonical(json[key]);
  return Object.freeze(sorted);
}

/** Put the commit's timestamp wherever a document waits for it; the same document if it nowhere does. */
export function resolveCommitTs(json, ts) {
  if (json === null || typeof json !== "object") return json;
  if (Array.isArray(json)) return json.map((value) => resolveCommitTs(value, ts));
  if (special(json) === "$commitTs") return integer(ts);
  return Object.fromEntries(Object.entries(json).map(([key, value]) => [key, resolveCommitTs(value, ts)]));
}
