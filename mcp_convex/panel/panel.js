// One panel for two hosts, a page and a chat. A host asks the server on its behalf, opens links, and says when to look.

const OVERVIEW = "convex://panel";
const TICK_MS = 30_000; // between the times at which "2 minutes ago" is put right
const FRESH_MS = 5_000; // how long what only the deployment knows is taken as known, when the person comes back

class SignedOut extends Error {}

function showPanel(host) {
  const root = document.getElementById("panel");
  const status = document.querySelector("[role=status]");
  const drawn = new Map(); // what each section shows, so that only what changed is drawn anew
  const opened = new Map(); // what the person unfolded or folded
  const busy = new Set(); // sections in which an action is under way
  const known = { overview: null, envVars: null, deployments: null, choice: null };
  const panel = { look, live, isOver: false, isUnderWay: false };
  let looking = false;
  let again = false;
  let held = false; // the pointer is down, and what is under it may not be taken away

  async function call(tool, args = {}) {
    const answer = await host.ask("tools/call", { name: tool, arguments: args });
    const error = answer.structuredContent?.error; // its next step is for an agent
    if (error?.code === "unknown_tool") throw new Error("This server is set up so that this cannot be done here.");
    if (error || !answer.structuredContent) throw new Error(error?.message ?? "The call failed.");
    return answer.structuredContent;
  }

  // Looks at what the server has; who asks while it looks has it look once more.
  async function look() {
    again = true;
    if (looking) return;
    looking = true;
    while (again && !panel.isOver) {
      again = false;
      try {
        const answer = await host.ask("resources/read", { uri: OVERVIEW });
        take(JSON.parse(answer.contents[0].text));
        draw();
        await lookFurther();
      } catch (error) {
        miss(error);
      }
      draw();
    }
    looking = false;
  }

  function take(overview) {
    const news = newsOf(known.overview, overview);
    if (known.trouble) news.unshift("The server answers again.");
    if (news.length > 0) status.textContent = news.join(" ");
    if (news.length > 0 && known.said?.link) known.said = null; // what it led to has come about
    Object.assign(known, { overview, trouble: null, at: new Date().toISOString() });
    panel.isUnderWay = overview.dev_server.on || overview.connections.some((one) => one.state === "connecting");
  }

  function miss(error) {
    if (error instanceof SignedOut) signOut();
    else if (known.trouble !== error.message) status.textContent = known.trouble = error.message;
  }

  // What only the deployment and Convex know is asked for when the deployment is another, and after each push.
  async function lookFurther() {
    const { target, pushes } = known.overview;
    const [url, latest] = [target?.url ?? "embedded", pushes[0]?.id];
    const isOther = known.url !== url;
    if (isOther) known.choice = known.deployments = known.envVars = null;
    if (isOther || known.latest !== latest) await Promise.all([lookAtEnvVars(), isOther && lookAtDeployments()]);
    Object.assign(known, { url, latest });
  }

  async function lookAtEnvVars() {
    known.envVarsAt = Date.now();
    const before = JSON.stringify(known.envVars);
    known.envVars = await call("list_env_vars").catch(asProblem);
    if (known.said?.section === "env" && JSON.stringify(known.envVars) !== before) known.said = null;
  }

  async function lookAtDeployments() {
    const isLinked = known.overview.target?.kind === "cloud";
    known.deployments = isLinked ? await call("list_deployments").catch(asProblem) : null;
  }

  function asProblem(error) {
    if (error instanceof SignedOut) throw error;
    return { problem: error.message };
  }

  // A person who comes back may have set an env var on its page.
  async function comeBack() {
    if (known.overview === null || Date.now() - known.envVarsAt < FRESH_MS) return;
    await lookAtEnvVars().catch(miss);
    draw();
    await look();
  }

  // One action at a time in each section; what came of it is said where a screen reader hears it, and beside its button.
  async function act(section, key, does, work) {
    if (busy.has(section)) return;
    busy.add(section);
    tell(section, key, does && `${does}…`);
    draw();
    try {
      tell(section, key, (await work()) ?? "");
    } catch (error) {
      if (error instanceof SignedOut) signOut();
      else tell(section, key, error.message, "bad");
    }
    busy.delete(section);
    if (does) await look();
    draw();
  }

  function tell(section, key, outcome, kind = "") {
    const { text, link } = typeof outcome === "string" ? { text: outcome } : outcome;
    known.said = { section, key, text, link, kind };
    status.textContent = text;
  }

  const buttonIn =
    (section) =>
    (key, text, does, work, { kind, label } = {}) =>
      element(
        "button",
        {
          type: "button",
          class: kind,
          "data-key": key,
          "aria-disabled": busy.has(section) && "true", // one that is disabled would lose the focus
          "aria-label": label,
          click: () => act(section, key, does, work),
        },
        text,
      );

  const link = (url, text, label) =>
    element(
      "a",
      {
        href: url,
        target: "_blank",
        rel: "noopener noreferrer",
        "data-key": `to-${url}`,
        "aria-label": label && `${label}, on another page`,
        click: (event) => (event.preventDefault(), host.open(url).catch(() => undefined)),
      },
      text,
      element("span", { "aria-hidden": "true" }, " ↗"),
    );

  // Hosts ask the person themselves where they can; where they cannot, the answer has a link.
  async function onAPage(tool, args) {
    const { link: url } = await call(tool, args);
    if (!isWeb(url)) return "";
    const isOpen = await host.open(url).then(
      () => true,
      () => false,
    );
    if (isOpen) return { text: "Go on in the page that has opened.", link: [url, "Open it again"] };
    return { text: "Open this address in your browser:", link: [url, url] };
  }

  function open(id, isOpen, summary, ...content) {
    const toggled = () => opened.set(id, !made.open);
    const made = element(
      "details",
      { open: opened.get(id) ?? isOpen },
      element("summary", { "data-key": id, click: toggled }, summary),
      ...content,
    );
    return made;
  }

  const sections = [
    ["connection", "Connection", connectionSection, () => [known.overview.target === null, known.overview.connections, known.leaving]],
    ["deployment", "Deployment", deploymentSection, () => [known.overview.target, known.overview.connections, known.deployments, known.choice]],
    ["dev-server", "Dev server", devServerSection, () => [known.overview.dev_server]],
    ["pushes", "Pushes", pushesSection, () => [known.overview.pushes]],
    ["env", "Environment variables", envVarsSection, () => [known.envVars]],
  ].map(([id, title, makeSection, shows]) => {
    const report = (error) => {
      if (error instanceof SignedOut) signOut();
      else tell(id, "", error.message, "bad");
      draw();
    };
    const content = makeSection({ known, call, draw, link, open, onAPage, lookAtEnvVars, report, button: buttonIn(id) });
    return { id, title, shows, content };
  });

  function draw() {
    if (panel.isOver || held) return;
    drawLine();
    if (known.overview === null) return;
    for (const section of sections) drawSection(section);
  }

  function drawSection({ id, title, shows, content }) {
    const spoken = known.said?.section === id && known.said;
    const now = JSON.stringify([shows(), spoken, busy.has(id)]);
    if (drawn.get(id) === now) return;
    drawn.set(id, now);
    const heading = element("h2", { id: `${id}-title`, tabindex: "-1" }, title);
    const made = element("section", { id, "aria-labelledby": heading.id }, heading, ...content(known.overview));
    if (spoken?.text) sayBeside(made, spoken);
    const before = document.getElementById(id);
    const focused = before?.contains(document.activeElement) && document.activeElement;
    if (before) before.replaceWith(made);
    else root.append(made);
    if (!focused && !known.focus) return;
    const find = (key) => key && made.querySelector(`[data-key="${CSS.escape(key)}"]`);
    const next = find(known.focus) || (focused && (find(focused.dataset.key) || heading));
    known.focus = null;
    if (next) next.focus({ preventScroll: true });
  }

  function sayBeside(made, { key, text, link: to, kind }) {
    const told = element("p", { class: `told ${kind}` }, text, to && [" ", link(...to)]);
    const button = key && made.querySelector(`[data-key="${CSS.escape(key)}"]`);
    const beside = button?.closest("li, .form, .row");
    if (beside?.matches("li, .form")) beside.append(told);
    else if (beside) beside.after(told);
    else made.append(told);
  }

  // The line on top: whether what is shown is what is.
  function drawLine() {
    const { trouble, live: isLive, at } = known;
    const now = JSON.stringify([trouble, isLive, at]);
    if (drawn.get("line") === now) return;
    drawn.set("line", now);
    const shown = trouble ? badge("no answer", "bad") : isLive ? badge("live", "good") : at && soft("Checked ", when(at));
    document.getElementById("line").replaceChildren(...[shown].filter(Boolean));
    const notice = document.getElementById("trouble");
    notice.hidden = !trouble;
    if (trouble) notice.replaceChildren(said(trouble), soft(at ? ["What you see is from ", when(at), ". "] : "", "It tries again by itself."), tryNow);
    if (known.overview === null && trouble) root.replaceChildren();
    else if (known.overview !== null && !root.querySelector("section")) root.replaceChildren();
  }

  const tryNow = element("button", { type: "button", class: "quiet", click: tryAgain }, "Try now");

  function tryAgain() {
    look();
    host.wake();
  }

  function live(isLive) {
    known.live = isLive;
    draw();
  }

  function signOut() {
    panel.isOver = true;
    document.getElementById("line").replaceChildren(badge("signed out"));
    document.getElementById("trouble").hidden = true;
    const signIn = element("button", { type: "button", click: () => location.reload() }, "Sign in again");
    root.replaceChildren(said("You are signed out. Sign in again to go on where you were."), signIn);
    status.textContent = "You are signed out.";
    signIn.focus();
  }

  document.addEventListener("pointerdown", () => (held = true));
  for (const end of ["pointerup", "pointercancel"])
    document.addEventListener(end, () => ((held = false), setTimeout(draw))); // once the click is through
  window.addEventListener("focus", comeBack);
  setInterval(() => keepTime(document), TICK_MS);
  look();
  host.follow(panel);
}

// What changed by itself, for those who do not see it.
function newsOf(before, { connections, pushes }) {
  if (before === null) return [];
  const news = [];
  const [latest] = pushes;
  if (latest && latest.id !== before.pushes[0]?.id)
    news.push(latest.failure ? `A push was not accepted. ${failureOf(latest)[0]}` : "A push is through.");
  for (const one of connections) {
    const was = before.connections.find((other) => other.id === one.id);
    if (was && was.state !== one.state && one.state === "connected") news.push(`Connected to ${nameOf(one)}.`);
    if (was && was.state !== one.state && one.state === "failed") news.push("Connecting failed.");
  }
  return news;
}
