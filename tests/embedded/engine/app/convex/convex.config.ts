import { defineApp } from "convex/server";
import { v } from "convex/values";
import counter from "./counter/convex.config";

const app = defineApp({ env: { GREETING: v.optional(v.string()), API_KEY: v.string() } });
app.use(counter, { name: "likes", env: { STEP: "2" } });
app.use(counter, { name: "views", httpPrefix: "/views/", env: { STEP: app.env.API_KEY } });
export default app;
