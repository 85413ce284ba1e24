import { cronJobs } from "convex/server";
import { internal } from "./_generated/api";

const crons = cronJobs();

crons.daily("write the digests", { hourUTC: 6, minuteUTC: 17 }, internal.digests.writeAll, {});

export default crons;
