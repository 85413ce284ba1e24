// Document ids: 32 characters of base32 that begin with their table's number.

import { randomBytes } from "node:crypto";

const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";
const SHAPE = /^[0-9a-hjkmnp-tv-z]{32}$/;

/** The number of a component's first table; a number takes a varint of two bytes, so there can be 6382 of them. */
export const FIRST_TABLE = 10001;

function toText(bytes) {
  let text = "";
  for (let bit = 0; bit < bytes.length * 8; bit += 5) {
    const pair = (bytes[bit >> 3] << 8) | (bytes[(bit >> 3) + 1] ?? 0);
    text += ALPHABET[(pair >> (11 - (bit & 7))) & 31];
  }
  return text;
}

/** Make an id for a new document of the table *number*. */
export function newId(number) {
  const bytes = randomBytes(20);
  bytes[0] = (number & 0x7f) | 0x80;
  bytes[1] = number >> 7;
  return toText(bytes);
}

/** Return the number of the table that *text* would belong to, or null where it has not the shape of an id. */
export function tableNumber(text) {
  if (typeof text !== "string" || !SHAPE.test(text)) return null;
  const digits = [...text.slice(0, 4)].map((char) => ALPHABET.indexOf(char));
  const first = (digits[0] << 3) | (digits[1] >> 2);
  const second = ((digits[1] & 3) << 6) | (digits[2] << 1) | (digits[3] >> 4);
  return (first & 0x80) === 0 ? null : (first & 0x7f) | (second << 7);
}
