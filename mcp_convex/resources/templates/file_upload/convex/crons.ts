import { cronJobs } from "convex/server";
import { internal } from "./_generated/api";

const crons = cronJobs();

crons.daily("remove stray uploads", { hourUTC: 3, minuteUTC: 41 }, internal.files.removeStrays, { cursor: null });

export default crons;
