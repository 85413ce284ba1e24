// What the panel is made of. Whatever it shows is text: nothing makes HTML of it.

const AGO = new Intl.RelativeTimeFormat("en");
const UNITS = [
  ["minute", 60],
  ["hour", 24],
  ["day", Infinity],
];

function element(name, attributes, ...content) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(key, value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...content.flat().filter((one) => one || one === 0));
  return made;
}

const said = (text, kind = "") => element("p", { class: kind }, text);
const soft = (...content) => element("p", { class: "soft" }, ...content);
const badge = (text, kind = "") => element("span", { class: `badge ${kind}` }, text);
const code = (text) => element("code", {}, text);
const item = (what, state, ...acts) => [
  element("div", { class: "what" }, what),
  element("div", { class: "state" }, state),
  element("div", { class: "acts" }, ...acts),
];
const row = (...of) => element("div", { class: "row" }, ...item(...of));
const list = (lines) => element("ul", {}, ...lines.map((line) => element("li", {}, ...line)));
const counted = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;
const isWeb = (url) => /^https?:\/\//i.test(url ?? "");

function ago(moment) {
  let passed = (Date.now() - Date.parse(moment)) / 60_000;
  if (passed < 1) return "just now";
  for (const [unit, many] of UNITS) {
    if (passed < many) return AGO.format(-Math.floor(passed), unit);
    passed /= many;
  }
}

const when = (moment) =>
  element("time", { datetime: moment, title: new Date(moment).toLocaleString() }, ago(moment));

function keepTime(root) {
  for (const time of root.querySelectorAll("time")) time.textContent = ago(time.dateTime);
}
