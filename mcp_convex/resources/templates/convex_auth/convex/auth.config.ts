import type { AuthConfig } from "convex/server";

export default {
  // The deployment itself issues the tokens; Convex sets this variable.
  providers: [{ domain: process.env.CONVEX_SITE_URL!, applicationID: "convex" }],
} satisfies AuthConfig;
