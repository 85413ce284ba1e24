import { cronJobs } from "convex/server";
import { internal } from "./_generated/api";

const crons = cronJobs();
crons.interval("every hour from now", { hours: 1 }, internal.jobs.tick, {});
crons.daily("each morning", { hourUTC: 6, minuteUTC: 30 }, internal.jobs.tick);
crons.cron("new year", "0 0 1 1 *", internal.jobs.tick);
export default crons;
