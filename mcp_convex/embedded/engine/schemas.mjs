// Checks a schema's own rules, before any document is looked at.

import { RequestError } from "./errors.mjs";
import { showValidator } from "./display.mjs";

const RESERVED = ["by_id", "by_creation_time"];
const SYSTEM_FIELDS = ["_id", "_creationTime"];

function allows(validator, path) {
  if (validator.type === "any") return true;
  if (validator.type === "union") return validator.value.some((member) => allows(member, path));
  if (validator.type === "record") return true;
  if (validator.type !== "object") return false;
  const [first, ...rest] = path;
  if (!Object.hasOwn(validator.value, first)) return false;
  return rest.length === 0 || allows(validator.value[first].fieldType, rest);
}

function fieldsOf(index) {
  const named = index.fields ?? [index.searchField ?? index.vectorField, ...(index.filterFields ?? [])];
  return named.filter((field) => !SYSTEM_FIELDS.includes(field));
}

function wrongIndex(table, index, seen) {
  const name = index.indexDescriptor;
  if (RESERVED.includes(name) || name.startsWith("_")) {
    return `In table "${table.tableName}" cannot name an index "${name}" because the name is reserved. Indexes may not start with an underscore or be named "by_id" or "by_creation_time".`;
  }
  if (seen.has(name)) return `In table "${table.tableName}" the index name "${name}" is not unique.`;
  if (index.fields?.length === 0)
    return `In table "${table.tableName}" the index "${name}" must have at least one field.`;
  const missing = fieldsOf(index).find((field) => !allows(table.documentType, field.split(".")));
  if (missing === undefined) return null;
  return `In table "${table.tableName}" the index "${name}" is invalid because it references the field "${missing}" that does not exist.`;
}

function wrongTable(table) {
  const { tableName, documentType } = table;
  if (!/^[a-zA-Z][a-zA-Z0-9_]*$/.test(tableName)) {
    return `Invalid table name: "${tableName}". Identifiers must start with a letter and can only contain letters, digits, and underscores.`;
  }
  const members = documentType.type === "union" ? documentType.value : [documentType];
  if (!members.every(({ type }) => ["object", "any", "record", "union"].includes(type))) {
    return `The document validator of table "${tableName}" must be an object, a union of objects, or \`v.any()\`: ${showValidator(documentType)}`;
  }
  const seen = new Set();
  for (const kind of ["indexes", "searchIndexes", "vectorIndexes"]) {
    for (const index of table[kind] ?? []) {
      const wrong = wrongIndex(table, index, seen);
      if (wrong !== null) return wrong;
      seen.add(index.indexDescriptor);
    }
  }
  return null;
}

/** Throws `InvalidSchema` for the first rule that *schema* breaks. */
export function checkSchema(schema) {
  for (const table of schema?.tables ?? []) {
    const wrong = wrongTable(table);
    if (wrong !== null) throw new RequestError("InvalidSchema", wrong);
  }
}
