// When crons run: intervals, the daily and weekly forms, and cron syntax, all in UTC.

const MINUTE = 60_000;
const DAY = 86_400_000;
const HORIZON_DAYS = 366 * 8;
const DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const FIELDS = [
  { name: "minute", low: 0, high: 59 },
  { name: "hour", low: 0, high: 23 },
  { name: "day of month", low: 1, high: 31 },
  { name: "month", low: 1, high: 12, words: MONTHS, base: 1 },
  { name: "day of week", low: 0, high: 7, words: DAYS, base: 0 },
];

function readNumber(text, { name, low, high, words = [], base = 0 }) {
  const word = words.indexOf(text.slice(0, 3).toLowerCase());
  const value = word >= 0 ? word + base : Number(text);
  if (!Number.isInteger(value) || value < low || value > high) throw new Error(`\`${text}\` is no ${name}`);
  return value;
}

function readPart(part, field) {
  const [range, step = "1"] = part.split("/");
  const every = Number(step);
  if (!Number.isInteger(every) || every < 1) throw new Error(`\`${part}\` has an invalid step`);
  let [from, to] = [field.low, field.high];
  if (range !== "*" && range !== "?") {
    const [first, last] = range.split("-");
    from = readNumber(first, field);
    to = last === undefined ? (part.includes("/") ? field.high : from) : readNumber(last, field);
  }
  if (to < from) throw new Error(`\`${part}\` runs backwards`);
  return Array.from({ length: Math.floor((to - from) / every) + 1 }, (_, i) => from + i * every);
}

function parseCron(text) {
  const parts = text.trim().split(/\s+/);
  if (parts.length !== FIELDS.length)
    throw new Error(`\`${text}\` must have five fields: minute, hour, day of month, month, day of week`);
  const [minutes, hours, days, months, weekdays] = parts.map(
    (part, i) => new Set(part.split(",").flatMap((one) => readPart(one, FIELDS[i]))),
  );
  if (weekdays.has(7)) weekdays.add(0);
  const free = parts.map((part) => part === "*" || part === "?");
  return { minutes, hours, days, months, weekdays, anyDay: free[2], anyWeekday: free[4] };
}

function asCron(schedule) {
  const { minuteUTC = 0, hourUTC, dayOfWeek, day } = schedule;
  switch (schedule.type) {
    case "hourly":
      return `${minuteUTC} * * * *`;
    case "daily":
      return `${minuteUTC} ${hourUTC} * * *`;
    case "weekly":
      return `${minuteUTC} ${hourUTC} * * ${dayOfWeek}`;
    case "monthly":
      return `${minuteUTC} ${hourUTC} ${day} * *`;
    default:
      return schedule.cron;
  }
}

function onDay(cron, date) {
  if (!cron.months.has(date.getUTCMonth() + 1)) return false;
  const day = cron.days.has(date.getUTCDate());
  const weekday = cron.weekdays.has(date.getUTCDay());
  return cron.anyDay || cron.anyWeekday ? day && weekday : day || weekday;
}

function nextCron(cron, after) {
  const earliest = Math.floor(after / MINUTE) * MINUTE + MINUTE;
  const midnight = Math.floor(earliest / DAY) * DAY;
  for (let day = 0; day < HORIZON_DAYS; day += 1) {
    const date = midnight + day * DAY;
    if (!onDay(cron, new Date(date))) continue;
    for (const hour of [...cron.hours].sort((a, b) => a - b)) {
      for (const minute of [...cron.minutes].sort((a, b) => a - b)) {
        const time = date + (hour * 60 + minute) * MINUTE;
        if (time >= earliest) return time;
      }
    }
  }
  throw new Error("it never comes due");
}

function interval({ seconds = 0, minutes = 0, hours = 0 }) {
  return (seconds + 60 * minutes + 3600 * hours) * 1000;
}

/** Throws where a schedule cannot be read or never comes due. */
export function checkSchedule(schedule) {
  nextRun(schedule, Date.now());
}

/** Return when a cron that last ran, or was first seen, at *after* runs next; both in ms. */
export function nextRun(schedule, after) {
  return schedule.type === "interval" ? after + interval(schedule) : nextCron(parseCron(asCron(schedule)), after);
}

/** Return when a cron runs for the first time: an interval at once. */
export function firstRun(schedule, now) {
  return schedule.type === "interval" ? now : nextRun(schedule, now);
}
