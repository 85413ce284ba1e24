// What is connected, and which deployment the workspace works with.

const nameOf = ({ project, team }) => project?.name ?? team?.name ?? "Your Convex account";
const teamOf = (project) => project.team_slug ?? `${project.team_id}`;
const pathOf = (project) => `${teamOf(project)}/${project.slug}`;

function connectionSection({ known, button, call, onAPage }) {
  const connect = (key, text, kind) => button(key, text, "Opening a page", () => onAPage("connect", {}), { kind });

  const end = (connection, text) =>
    button(`leave-${connection.id}`, text, "", async () => void (known.leaving = connection.id), {
      kind: "quiet",
      label: `${text} ${nameOf(connection)}`,
    });

  async function disconnect({ id }) {
    known.leaving = null;
    const { revoked } = await call("disconnect", { connection: id });
    if (revoked) return "Disconnected, at Convex too.";
    return "Disconnected here. What you gave is still valid at Convex: its dashboard can end that.";
  }

  function leaving(connection) {
    const name = nameOf(connection);
    return [
      said(`Disconnect ${name}? This server forgets its access. Your data stays at Convex.`),
      element(
        "div",
        { class: "acts" },
        button(`end-${connection.id}`, "Disconnect", `Disconnecting ${name}`, () => disconnect(connection), {
          kind: "danger",
          label: `Disconnect ${name} for good`,
        }),
        button(`leave-${connection.id}`, "Keep it", "", async () => void (known.leaving = null), { kind: "quiet" }),
      ),
    ];
  }

  function connectionLine(connection) {
    if (known.leaving === connection.id) return leaving(connection);
    const { id, state, reason, retryable } = connection;
    const shown = badge(...(CONNECTION_STATES[state] ?? [state]));
    if (state === "connected") return item(nameOf(connection), shown, end(connection, "Disconnect"));
    const about =
      state === "connecting"
        ? soft("Finish on the page in your browser. It is good for ten minutes.")
        : said(reason ?? "It did not work.", "bad");
    const again = state === "connecting" ? "Open the page again" : retryable && "Try again";
    const acts = [again && connect(`again-${id}`, again), end(connection, state === "connecting" ? "Give up" : "Forget")];
    return [...item(nameOf(connection), shown), element("div", {}, about, element("div", { class: "acts" }, acts))];
  }

  return function connectionOf({ connections, target }) {
    const mayAdd = !known.leaving && connections.every((one) => one.state === "connected");
    if (connections.length > 0)
      return [list(connections.map(connectionLine)), mayAdd && connect("connect", "Connect another team", "plain")];
    const about = target
      ? "No Convex account is connected. The deployment below was linked by its key."
      : "Not connected. You can go on without an account: your app runs on a built-in deployment, for trying.";
    return [said(about), connect("connect", "Connect to Convex")];
  };
}

function deploymentSection({ known, button, call, draw, link, open, report }) {
  const isConnected = () => known.overview.connections.some((one) => one.state === "connected");
  const toDashboard = (name, url) => isWeb(url) && link(url, "Dashboard", `Dashboard of ${name}`);

  function deploymentOf({ target }) {
    const change = () => {
      if (known.choice) return choiceOf(known.choice);
      const text = target ? "Use another project" : "Choose a project";
      return isConnected() && button("choose", text, "Asking Convex for your projects", choose, { kind: target && "plain" });
    };
    if (target === null) {
      const next = isConnected() && soft("Choose a project at Convex, or ask your assistant to create one.");
      return [row(["Built-in deployment", soft("It runs beside this server. No account needed.")], badge("for trying")), next, change()];
    }
    const { project, deployments = [], problem } = known.deployments ?? {};
    const here = deployments.find((one) => one.url === target.url);
    const others = deployments.filter((one) => one !== here);
    return [
      row(
        [code(target.name), soft([project && `${project.name} · `, target.url])],
        badge(target.type ?? target.kind.replace("_", "-")),
        toDashboard(target.name, here?.dashboard_url),
      ),
      others.length > 0 && othersOf(others, pathOf(project)),
      problem && soft(`Convex does not say what else the project has. ${problem}`),
      change(),
    ];
  }

  const othersOf = (others, project) =>
    open(
      "others",
      others.length <= 5,
      `${counted(others.length, "other deployment")} of this project`,
      list(others.map((one) => otherOf(one, project))),
    );

  function otherOf({ name, reference, type, expires_at: expires, dashboard_url: url }, project) {
    const use = button(`use-${name}`, "Use", `Linking ${reference}`, () => linkTo(project, name), {
      kind: "quiet",
      label: `Use ${reference}`,
    });
    const until = expires && soft(`Convex deletes it on ${new Date(expires).toLocaleDateString()}.`);
    return item([code(reference), until], badge(type), toDashboard(reference, url), type !== "prod" && use);
  }

  async function linkTo(project, deployment) {
    await call("link_project", { project, ...(deployment && { deployment }) });
    await cancel();
    return "This workspace now works with that deployment.";
  }

  async function choose() {
    const projects = [];
    for (let cursor; cursor !== null; ) {
      const page = await call("list_projects", cursor ? { cursor } : {});
      projects.push(...page.projects);
      cursor = page.cursor;
    }
    if (projects.length === 0) return "You have no project at Convex yet. Ask your assistant to create one.";
    known.choice = { projects, team: teamOf(projects[0]), project: "", deployments: [], deployment: "" };
    known.focus = "project";
  }

  async function cancel() {
    Object.assign(known, { choice: null, focus: "choose" });
  }

  function change(changed) {
    known.choice = { ...known.choice, ...changed };
    draw();
  }

  async function chooseProject(project) {
    change({ project, deployments: null, deployment: "" });
    const found = await call("list_deployments", { project }).catch(report);
    if (known.choice?.project === project) change({ deployments: found?.deployments ?? [] });
  }

  function choiceOf({ projects, team, project, deployments, deployment }) {
    const teams = [...new Set(projects.map(teamOf))].map((one) => [one, one]);
    const ofTeam = projects.filter((one) => teamOf(one) === team).map((one) => [pathOf(one), one.name]);
    const there = (deployments ?? []).map((one) => [one.name, `${one.reference} (${one.type})`]);
    return element(
      "div",
      { class: "form" },
      teams.length > 1 && field("team", "Team", teams, team, (value) => change({ team: value, project: "" })),
      field("project", "Project", [["", "Choose a project"], ...ofTeam], project, chooseProject),
      project &&
        field("choice", "Deployment", [["", "Your own for development"], ...there], deployment, (value) =>
          change({ deployment: value }),
        ),
      element(
        "div",
        { class: "acts" },
        project && button("use", "Use it", "Linking", () => linkTo(project, deployment)),
        button("stay", "Cancel", "", cancel, { kind: "quiet" }),
      ),
    );
  }

  function field(id, label, options, chosen, onChange) {
    const shown = options.map(([value, text]) => element("option", { value, selected: value === chosen }, text));
    const change = ({ target }) => onChange(target.value);
    return element("p", {}, element("label", { for: id }, label), element("select", { id, "data-key": id, change }, ...shown));
  }

  return deploymentOf;
}
