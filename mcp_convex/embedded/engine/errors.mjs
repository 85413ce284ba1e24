// The engine's two kinds of errors: those of the protocol, and those that app code sees and throws.

/** Answers a request with an error: a code that Python knows, and a message. */
export class RequestError extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

/** A scheduled function that is not to run after all: nothing happened, and nothing is logged. */
export class Skipped extends Error {}

/** A function failed; *message* is what Convex would print, *data* a `ConvexError`'s data in JSON. */
export class FunctionFailure extends Error {
  constructor(message, data) {
    super(message);
    if (data !== undefined) this.data = data;
  }
}
