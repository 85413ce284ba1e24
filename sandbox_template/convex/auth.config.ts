import type { AuthConfig } from "convex/server";

// No provider yet, so that the first push needs no env var. Each `process.env.NAME` used here has
// to be set on the deployment before the push, except CONVEX_SITE_URL, which Convex sets itself:
//
//   providers: [{ domain: process.env.CONVEX_SITE_URL!, applicationID: "convex" }]
export default {
  providers: [],
} satisfies AuthConfig;
