// How Convex prints values and validators in its errors.

import { decode, typeOf } from "./values.mjs";

const IDENTIFIER = /^[A-Za-z_][A-Za-z0-9_]*$/;

function number(value) {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  const text = Object.is(value, -0) ? "-0" : String(value);
  return /[.e]/.test(text) ? text : `${text}.0`;
}

function field(name) {
  return IDENTIFIER.test(name) ? name : JSON.stringify(name);
}

function fields(object, show) {
  return Object.keys(object)
    .sort()
    .map((name) => `${field(name)}: ${show(object[name])}`)
    .join(", ");
}

/** Print a value in JSON form, such as `{author: "a", likes: 1.0}`. */
export function showValue(json) {
  switch (typeOf(json)) {
    case "float64":
      return number(decode(json));
    case "int64":
      return String(decode(json));
    case "bytes":
      return `b"${decode(json).toString("hex")}"`;
    case "array":
      return `[${json.map(showValue).join(", ")}]`;
    case "object":
      return `{${fields(json, showValue)}}`;
    default:
      return JSON.stringify(json);
  }
}

const NAMES = { number: "float64", bigint: "int64" };

function showField({ fieldType, optional }) {
  return optional ? `v.optional(${showValidator(fieldType)})` : showValidator(fieldType);
}

/** Print a validator's JSON as its author would write it, such as `v.object({author: v.id("users")})`. */
export function showValidator(validator) {
  switch (validator.type) {
    case "id":
      return `v.id(${JSON.stringify(validator.tableName)})`;
    case "literal":
      return `v.literal(${showValue(validator.value)})`;
    case "array":
      return `v.array(${showValidator(validator.value)})`;
    case "union":
      return `v.union(${validator.value.map(showValidator).join(", ")})`;
    case "record":
      return `v.record(${showValidator(validator.keys)}, ${showField(validator.values)})`;
    case "object":
      return `v.object({${fields(validator.value, showField)}})`;
    default:
      return `v.${NAMES[validator.type] ?? validator.type}()`;
  }
}
