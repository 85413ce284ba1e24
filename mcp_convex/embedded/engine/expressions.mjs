// Filter expressions: what `q.eq(q.field("a"), 1)` says about a document.

import { compare, decode, fieldAt } from "./values.mjs";

const truth = (value) => value === true;

function arithmetic(operate) {
  return (a, b) => {
    if (typeof a !== typeof b || !["number", "bigint"].includes(typeof a))
      throw new Error("Arithmetic in a filter needs two numbers of the same type.");
    return operate(a, b);
  };
}

const BINARY = {
  $eq: (a, b) => compare(a, b) === 0,
  $neq: (a, b) => compare(a, b) !== 0,
  $lt: (a, b) => compare(a, b) < 0,
  $lte: (a, b) => compare(a, b) <= 0,
  $gt: (a, b) => compare(a, b) > 0,
  $gte: (a, b) => compare(a, b) >= 0,
  $add: arithmetic((a, b) => a + b),
  $sub: arithmetic((a, b) => a - b),
  $mul: arithmetic((a, b) => a * b),
  $div: arithmetic((a, b) => a / b),
  $mod: arithmetic((a, b) => a % b),
};

/** Evaluate a serialised expression on a document; the result is a decoded value. */
export function evaluate(expression, document) {
  const [[operator, operand]] = Object.entries(expression);
  switch (operator) {
    case "$literal":
      return decode(operand);
    case "$field":
      return decode(fieldAt(document, operand));
    case "$and":
      return operand.every((part) => truth(evaluate(part, document)));
    case "$or":
      return operand.some((part) => truth(evaluate(part, document)));
    case "$not":
      return !truth(evaluate(operand, document));
    case "$neg":
      return -evaluate(operand, document);
    default:
      return BINARY[operator](evaluate(operand[0], document), evaluate(operand[1], document));
  }
}

/** Say whether a document passes a filter. */
export function passes(expression, document) {
  return truth(evaluate(expression, document));
}
