// Full-text and vector search, by looking at every document: honest answers, simple relevance.

import { passes } from "./expressions.mjs";
import { compare, decode, fieldAt } from "./values.mjs";

const MAX_RESULTS = 1024;

function words(text) {
  return text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
}

/** Score *text*: a hit a matching word, rarer for a prefix of the last word, less in a longer text. */
function relevance(text, terms) {
  const found = words(text);
  let score = 0;
  for (const [i, term] of terms.entries()) {
    const exact = found.filter((word) => word === term).length;
    const started = i === terms.length - 1 ? found.filter((word) => word !== term && word.startsWith(term)).length : 0;
    score += exact + started / 2;
  }
  return score === 0 ? 0 : score / (1 + Math.log1p(found.length));
}

/** Return the documents that match a search query, the most relevant first. */
export function searchText(documents, filters) {
  const { fieldPath, value } = filters.find(({ type }) => type === "Search");
  const equal = filters.filter(({ type }) => type === "Eq").map((filter) => [filter.fieldPath, decode(filter.value)]);
  const terms = words(value);
  const scored = [];
  for (const document of documents) {
    const text = fieldAt(document, fieldPath);
    if (
      typeof text !== "string" ||
      !equal.every(([path, wanted]) => compare(decode(fieldAt(document, path)), wanted) === 0)
    )
      continue;
    const score = relevance(text, terms);
    if (score > 0) scored.push({ score, document });
  }
  scored.sort((a, b) => b.score - a.score || b.document._creationTime - a.document._creationTime);
  return scored.slice(0, MAX_RESULTS).map(({ document }) => document);
}

function cosine(a, b) {
  let [dot, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i += 1) {
    dot += a[i] * b[i];
    aa += a[i] * a[i];
    bb += b[i] * b[i];
  }
  return aa === 0 || bb === 0 ? 0 : dot / Math.sqrt(aa * bb);
}

/** Return `{_id, _score}` of the nearest documents, the nearest first. */
export function searchVector(documents, index, { vector, limit, expressions }) {
  if (vector.length !== index.dimensions) {
    throw new Error(
      `Invalid vector for index ${index.indexDescriptor}: it has ${vector.length} dimensions, the index ${index.dimensions}.`,
    );
  }
  const hits = [];
  for (const document of documents) {
    const stored = fieldAt(document, index.vectorField);
    if (!Array.isArray(stored) || stored.length !== vector.length) continue;
    if (expressions && !passes(expressions, document)) continue;
    hits.push({ _id: document._id, _score: cosine(decode(stored), vector) });
  }
  return hits.sort((a, b) => b._score - a._score).slice(0, limit ?? 10);
}
