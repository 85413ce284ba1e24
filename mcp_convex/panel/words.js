// The server's words in a person's.

const CONNECTION_STATES = {
  connecting: ["waiting for you", "busy"],
  connected: ["connected", "good"],
  failed: ["failed", "bad"],
};

const OUTCOMES = {
  pushed: ["pushed", "good"],
  previewed: ["only tried", ""],
  rejected: ["rejected", "bad"],
  failed: ["failed", "bad"],
};

const DEV_SERVER = {
  off: ["off", "", "Changes go live when your assistant pushes them. Start it, and each goes live by itself."],
  waiting: ["on", "good", "Each change goes live by itself. It waits for the next one."],
  pushing: ["pushing", "busy", "Each change goes live by itself. One is on its way."],
  retrying: ["trying again", "bad", "The last push did not get through. It tries again within a minute."],
  elsewhere: ["on", "good", "Each change goes live by itself. Another server does the work."],
};

// What went wrong, and what a person can do about it.
const FAILURES = {
  source: ["The code has mistakes.", "Ask your assistant to mend them."],
  data_mismatch: ["Stored data does not fit the new schema.", "Ask your assistant to change the schema or the data."],
  env_missing: ["An environment variable is missing.", "Set it below. Then ask your assistant to push again."],
  auth: ["Convex does not accept this server's access.", "Connect again. Then ask your assistant to push."],
  quota: ["A limit of your Convex plan is reached.", "Look at your plan in Convex's dashboard."],
  conflict: ["Another push came first.", "Ask your assistant to push again."],
  too_large: ["The code is too large.", "Ask your assistant to make it smaller."],
  needs_consent: ["It would remove something, and waits for your consent.", "Ask your assistant to push: it asks you."],
  transient: ["Convex could not be reached.", "Ask your assistant to push again in a while."],
  timeout: ["It took too long.", "Ask your assistant to push again."],
  tooling: ["The tools that push did not work.", "Ask your assistant what happened."],
};

const failureOf = (push) => FAILURES[push.failure] ?? ["It did not work.", "Ask your assistant what happened."];
