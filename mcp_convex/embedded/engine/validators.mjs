// Checks values against validators, and words what is wrong as Convex does.

import { compare, decode, typeOf } from "./values.mjs";
import { showValidator, showValue } from "./display.mjs";

const SCALARS = {
  null: "null",
  number: "float64",
  bigint: "int64",
  boolean: "boolean",
  string: "string",
  bytes: "bytes",
};

const ID_SHAPE = /^[0-9a-hjkmnp-tv-z]{31,37}$/;

const noMatch = (path, value, validator) =>
  `Value does not match validator.\n${at(path)}Value: ${showValue(value)}\nValidator: ${showValidator(validator)}`;

function at(path) {
  return path === "" ? "" : `Path: ${path}\n`;
}

function aboutField(text, { path, value, validator }) {
  const where = path === "" ? "" : `\nPath: ${path}`;
  return `${text}${where}\n\nObject: ${showValue(value)}\nValidator: ${showValidator(validator)}`;
}

/** An imported document may name one that is not there yet, so a dangling id in a document fits any table. */
function checkId(validator, value, { path, tableOf, document }) {
  if (typeof value !== "string") return noMatch(path, value, validator);
  const table = tableOf(value);
  if (table === validator.tableName) return null;
  if (table === null) return document && ID_SHAPE.test(value) ? null : noMatch(path, value, validator);
  const where = path === "" ? "" : `\nPath: ${path}`;
  return `Found ID "${value}" from table \`${table}\`, which does not match the table name in validator \`${showValidator(validator)}\`.${where}`;
}

function checkLiteral(validator, value, { path }) {
  if (compare(decode(value), decode(validator.value)) === 0) return null;
  const where = path === "" ? "" : `\nPath: ${path}`;
  return `\`${showValue(value)}\` does not match literal validator \`${showValidator(validator)}\`.${where}`;
}

function checkArray(validator, value, context) {
  if (typeOf(value) !== "array") return noMatch(context.path, value, validator);
  for (const [i, item] of value.entries()) {
    const wrong = check(validator.value, item, { ...context, path: `${context.path}[${i}]`, top: false });
    if (wrong !== null) return wrong;
  }
  return null;
}

function checkRecord(validator, value, context) {
  if (typeOf(value) !== "object") return noMatch(context.path, value, validator);
  for (const [key, item] of Object.entries(value)) {
    const inner = { ...context, path: `${context.path}.${key}`, top: false };
    const wrong = check(validator.keys, key, inner) ?? check(validator.values.fieldType, item, inner);
    if (wrong !== null) return wrong;
  }
  return null;
}

function checkObject(validator, value, context) {
  const { path, top } = context;
  if (typeOf(value) !== "object") return noMatch(path, value, validator);
  for (const [name, { fieldType, optional }] of Object.entries(validator.value)) {
    if (Object.hasOwn(value, name)) {
      const wrong = check(fieldType, value[name], { ...context, path: `${path}.${name}`, top: false });
      if (wrong !== null) return wrong;
    } else if (!optional) {
      const text = `Object is missing the required field \`${name}\`. Consider wrapping the field validator in \`v.optional(...)\` if this is expected.`;
      return aboutField(text, { path, value, validator });
    }
  }
  for (const name of Object.keys(value)) {
    if (Object.hasOwn(validator.value, name) || (top && (name === "_id" || name === "_creationTime"))) continue;
    return aboutField(`Object contains extra field \`${name}\` that is not in the validator.`, {
      path,
      value,
      validator,
    });
  }
  return null;
}

function checkUnion(validator, value, context) {
  const fits = validator.value.some((member) => check(member, value, context) === null);
  if (fits) return null;
  return validator.value.length === 1
    ? check(validator.value[0], value, context)
    : noMatch(context.path, value, validator);
}

const CHECKS = {
  id: checkId,
  literal: checkLiteral,
  array: checkArray,
  record: checkRecord,
  object: checkObject,
  union: checkUnion,
};

function check(validator, value, context) {
  if (validator.type === "any") return null;
  if (validator.type === "commitTs") {
    return ["int64", "commitTs"].includes(typeOf(value)) ? null : noMatch(context.path, value, validator);
  }
  if (validator.type in SCALARS) {
    return typeOf(value) === SCALARS[validator.type] ? null : noMatch(context.path, value, validator);
  }
  return CHECKS[validator.type](validator, value, context);
}

/**
 * Say what is wrong with *value*, or null. *tableOf* answers an id's table or null.
 * For a *document* the system fields at its top are no extra fields.
 */
export function mismatch(validator, value, { tableOf, document = false }) {
  return check(validator, value, { path: "", tableOf, document, top: document });
}
