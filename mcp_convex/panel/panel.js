// What a person sees of their backend. A host asks the server on the panel's behalf, and opens links.

const OVERVIEW = "convex://panel";
const SOON_MS = 2_000; // between looks while something is under way
const LATER_MS = 10_000;
const OUTCOMES = { pushed: "live", previewed: "previewed", rejected: "rejected", failed: "failed" };
const CONNECTIONS = { connecting: "waiting for you", connected: "connected", failed: "failed" };

function element(name, attributes, ...content) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (key === "onclick") made.addEventListener("click", value);
    else if (value !== false && value !== undefined) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...content.filter((one) => one !== null && one !== undefined));
  return made;
}

const said = (text, kind = "") => element("p", { class: kind }, text);
const state = (text, kind = "") => element("span", { class: `state ${kind}` }, text);
const row = (...content) => element("div", { class: "row" }, ...content);
const wide = (content) => element("span", { class: "wide" }, content);
const code = (text) => element("code", {}, text);
const at = (moment) => element("time", { datetime: moment }, new Date(moment).toLocaleString());

function showPanel(host) {
  const root = document.getElementById("panel");
  const status = document.querySelector("[role=status]");
  const drawn = new Map(); // what each section shows, so that only what changed is drawn anew
  const known = { overview: null, envVars: null, deployments: null, choice: null };
  let busy = false;
  let timer;

  async function call(tool, args = {}) {
    const answer = await host.ask("tools/call", { name: tool, arguments: args });
    const error = answer.structuredContent?.error;
    if (error) throw new Error(error.message); // its next step is for an agent
    return answer.structuredContent;
  }

  async function look() {
    clearTimeout(timer);
    try {
      const answer = await host.ask("resources/read", { uri: OVERVIEW });
      known.overview = JSON.parse(answer.contents[0].text);
      await followTarget();
    } catch (error) {
      status.textContent = `The server does not answer: ${error.message}`;
    }
    draw();
    if (!document.hidden) timer = setTimeout(look, isUnderWay() ? SOON_MS : LATER_MS);
  }

  // What only the deployment and Convex know is asked for when the deployment is another, and after a change.
  async function followTarget() {
    const url = known.overview.target?.url ?? "embedded";
    if (known.url === url) return;
    known.url = url;
    known.choice = known.deployments = known.envVars = null;
    await Promise.all([lookAtEnvVars(), lookAtDeployments()]);
  }

  async function lookAtEnvVars() {
    known.envVars = await call("list_env_vars").catch((error) => ({ problem: error.message }));
  }

  async function lookAtDeployments() {
    const linked = known.overview.target?.kind === "cloud";
    known.deployments = linked ? await call("list_deployments").catch(() => null) : null;
  }

  function isUnderWay() {
    const { connections, dev_server: devServer } = known.overview ?? { connections: [] };
    return devServer?.on || connections.some((one) => one.state === "connecting");
  }

  // One action at a time; what came of it is said where a screen reader hears it.
  async function act(does, work) {
    if (busy) return;
    busy = true;
    status.textContent = `${does}…`;
    draw();
    try {
      status.textContent = (await work()) ?? "";
    } catch (error) {
      status.textContent = error.message;
    }
    busy = false;
    drawn.clear();
    await look();
  }

  const button = (text, does, work, { quiet = false, label } = {}) =>
    element(
      "button",
      {
        type: "button",
        class: quiet && "quiet",
        disabled: busy,
        "aria-label": label,
        onclick: () => act(does, work),
      },
      text,
    );

  // Hosts ask the person themselves where they can; where they cannot, the answer has a link.
  async function onAPage(tool, args) {
    const answer = await call(tool, args);
    if (answer.link) await host.open(answer.link);
    return answer.link ? "Go on in the page that has opened." : "";
  }

  function draw() {
    if (known.overview === null) return;
    const { connections, target, dev_server: devServer, pushes } = known.overview;
    section("connection", "Connection", [connections, known.leaving, busy], () => connectionsOf(connections));
    section("deployment", "Deployment", [target, known.deployments, known.choice, busy], () =>
      deploymentOf(target),
    );
    section("dev", "Dev server", [devServer, busy], () => devServerOf(devServer));
    section("pushes", "Pushes", [pushes], () => pushesOf(pushes));
    section("env", "Environment variables", [known.envVars, busy], () => envVarsOf(known.envVars));
    host.resized?.();
  }

  function section(id, title, shows, content) {
    const now = JSON.stringify(shows);
    if (drawn.get(id) === now) return;
    drawn.set(id, now);
    const made = element("section", { id, "aria-labelledby": `${id}-title` });
    made.append(element("h2", { id: `${id}-title` }, title), ...content());
    const before = document.getElementById(id);
    if (before === null) {
      if (!root.querySelector("section")) root.replaceChildren();
      root.append(made);
      return;
    }
    const focused = [...before.querySelectorAll("button, select, input, summary")].indexOf(
      document.activeElement,
    );
    for (const open of before.querySelectorAll("details[open]"))
      made.querySelector(`#${open.id}`)?.setAttribute("open", "");
    before.replaceWith(made);
    if (focused >= 0) made.querySelectorAll("button, select, input, summary")[focused]?.focus();
  }

  function connectionsOf(connections) {
    const lines = connections.map((one) => element("li", {}, ...connectionOf(one)));
    if (lines.length > 0) return [element("ul", {}, ...lines)];
    return [
      said("Nothing is connected. The embedded deployment needs no account."),
      connectButton("Connect to Convex"),
    ];
  }

  function connectionOf(connection) {
    const name = connection.project?.name ?? connection.team?.name ?? "Convex";
    const kind = { connected: "good", failed: "bad" }[connection.state];
    const leaving = known.leaving === connection.id;
    const end = button(
      leaving ? "Disconnect for good" : "Disconnect",
      `Disconnecting ${name}`,
      () => disconnect(connection),
      {
        quiet: true,
        label: `Disconnect ${name}${leaving ? " for good" : ""}`,
      },
    );
    const shown = state(CONNECTIONS[connection.state] ?? connection.state, kind);
    return [
      row(wide(name), shown, retryOf(connection), end),
      connection.reason ? said(connection.reason, "bad") : null,
    ];
  }

  function retryOf({ state: now, retryable }) {
    if (now === "connecting") return connectButton("Open the page again");
    return now === "failed" && retryable ? connectButton("Try again") : null;
  }

  const connectButton = (text) => button(text, "Opening the page", () => onAPage("connect", {}));

  // Asks once more, on the button itself: it deletes the credential.
  async function disconnect(connection) {
    if (known.leaving !== connection.id) {
      known.leaving = connection.id;
      return "This server will forget its access. Your data at Convex stay.";
    }
    known.leaving = null;
    const { revoked } = await call("disconnect", { connection: connection.id });
    return revoked
      ? "Disconnected, at Convex too."
      : "Disconnected here. What you gave is still valid at Convex: its dashboard can end that.";
  }

  function deploymentOf(target) {
    if (target === null) {
      const about = row(wide("The embedded deployment on the server's machine"), state("for trying"));
      return [about, known.choice === null ? chooser() : choiceOf(known.choice)];
    }
    const here = known.deployments?.deployments.find((one) => one.url === target.url);
    const about = row(
      wide(code(target.name)),
      state(target.type ?? target.kind),
      here?.dashboard_url ? linkTo(here.dashboard_url) : null,
    );
    return [about, said(target.url, "soft"), known.choice === null ? chooser() : choiceOf(known.choice)];
  }

  function linkTo(url) {
    const follow = (event) => (event.preventDefault(), host.open(url));
    return element("a", { href: url, onclick: follow }, "Open in Convex's dashboard");
  }

  function chooser() {
    const isConnected = known.overview.connections.some((one) => one.state === "connected");
    return isConnected
      ? button("Choose another", "Asking Convex for your projects", chooseProject, { quiet: true })
      : "";
  }

  async function chooseProject() {
    const projects = [];
    for (let cursor; cursor !== null;) {
      const page = await call("list_projects", cursor ? { cursor } : {});
      projects.push(...page.projects);
      cursor = page.cursor;
    }
    known.choice = { projects, project: null, deployments: [] };
    return projects.length ? "" : "Convex knows no project of yours. Ask your assistant to create one.";
  }

  function choiceOf({ projects, project, deployments }) {
    const path = (one) => `${one.team_slug ?? one.team_id}/${one.slug}`;
    const option = (value, text, chosen) => element("option", { value, selected: value === chosen }, text);
    const ofTeam = (team) =>
      element(
        "optgroup",
        { label: team },
        ...projects
          .filter((one) => (one.team_slug ?? `${one.team_id}`) === team)
          .map((one) => option(path(one), one.name, project)),
      );
    const teams = [...new Set(projects.map((one) => one.team_slug ?? `${one.team_id}`))];
    const projectChoice = element(
      "select",
      { id: "project", disabled: busy },
      option("", "Choose a project", project),
      ...teams.map(ofTeam),
    );
    projectChoice.addEventListener("change", () =>
      act("Asking Convex for its deployments", () => chooseDeployment(projectChoice.value)),
    );
    const deploymentChoice = element(
      "select",
      { id: "choice", disabled: busy },
      option("", "Your dev deployment"),
      ...deployments.map((one) => option(one.name, `${one.reference} (${one.type})`)),
    );
    const link = () =>
      call("link_project", {
        project,
        ...(deploymentChoice.value && { deployment: deploymentChoice.value }),
      }).then(() => {
        known.choice = null;
        return "This workspace now works with that deployment.";
      });
    const asked = [element("label", { for: "project" }, "Project"), projectChoice];
    if (project)
      asked.push(
        element("label", { for: "choice" }, "Deployment"),
        deploymentChoice,
        row(button("Use it", "Linking", link)),
      );
    return element("div", {}, ...asked);
  }

  async function chooseDeployment(project) {
    const found = project ? (await call("list_deployments", { project })).deployments : [];
    known.choice = { ...known.choice, project, deployments: found };
  }

  function devServerOf({ on, state: now, trouble, stopped_because: why }) {
    const turn = on
      ? button("Stop", "Stopping", () => turnDevServer("stop"), { quiet: true, label: "Stop the dev server" })
      : button("Start", "Starting", () => turnDevServer("start"), { label: "Start the dev server" });
    const about = on ? "Every write goes live by itself." : "A write goes live when your assistant pushes.";
    const problem = trouble ?? why;
    return [row(wide(about), state(now, on ? "good" : ""), turn), problem ? said(problem, "bad") : ""];
  }

  async function turnDevServer(action) {
    await call("dev_server", { action });
  }

  function pushesOf(pushes) {
    if (pushes.length === 0) return [said("Nothing was pushed yet.", "soft")];
    return [element("ul", {}, ...pushes.map((one) => element("li", {}, pushOf(one))))];
  }

  function pushOf(push) {
    const failed = push.failure !== null;
    const head = [
      state(OUTCOMES[push.outcome] ?? push.outcome, failed ? "bad" : "good"),
      at(push.at),
      element("span", {}, `${push.duration_s.toFixed(1)} s`),
    ];
    if (!failed && push.diagnostics.length === 0) return row(...head);
    const summary = element(
      "summary",
      {},
      row(...head, failed ? element("span", {}, push.failure.replaceAll("_", " ")) : null),
    );
    const more = push.omitted ? said(`${push.omitted} more.`, "soft") : "";
    return element(
      "details",
      { id: `push-${push.id}` },
      summary,
      ...push.diagnostics.map(diagnosticOf),
      more,
    );
  }

  function diagnosticOf({ file, line, code: name, message, hint }) {
    const where = file ? `${file}${line ? `:${line}` : ""} ` : "";
    return element("pre", {}, `${where}${name}\n${message}${hint ? `\n→ ${hint}` : ""}`);
  }

  function envVarsOf(found) {
    if (found === null) return [said("Asking the deployment…", "soft")];
    if (found.problem) return [said(found.problem, "bad")];
    const shown = found.env_vars.filter((one) => !one.managed);
    const set = (name) =>
      button(
        "Set…",
        `Opening the page for ${name}`,
        () => onAPage("request_env_var", { name, why: "You asked for it in the panel." }),
        { quiet: true, label: `Set ${name}` },
      );
    const line = (one) => {
      const missing = !one.is_set && !one.optional;
      return element(
        "li",
        {},
        row(
          wide(code(one.name)),
          state(
            one.is_set ? "set" : missing ? "missing" : "not set",
            one.is_set ? "good" : missing ? "bad" : "",
          ),
          set(one.name),
        ),
      );
    };
    const refresh = button("Look again", "Asking the deployment", lookAtEnvVars, { quiet: true });
    return [shown.length ? element("ul", {}, ...shown.map(line)) : said("None.", "soft"), row(refresh)];
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : look()));
  look();
}
