import { httpRouter } from "convex/server";
import { httpAction } from "./_generated/server";

const http = httpRouter();
http.route({ path: "/total", method: "GET", handler: httpAction(async () => new Response("from a component")) });
export default http;
