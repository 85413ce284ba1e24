import { cronJobs } from "convex/server";
import { internal } from "./_generated/api";

const crons = cronJobs();

crons.daily("close the day", { hourUTC: 0, minuteUTC: 7 }, internal.days.close, {});
crons.interval("remove old visits", { hours: 6 }, internal.visits.removeOld, {});

export default crons;
