import { cronJobs } from "convex/server";
import { internal } from "./_generated/api";

const crons = cronJobs();

crons.daily("report on the day", { hourUTC: 6, minuteUTC: 0 }, internal.messages.report);
crons.interval("remove old messages", { hours: 1 }, internal.messages.removeOld);

export default crons;
