// What goes live, what came of it, and which env vars the code needs.

function devServerSection({ button, call }) {
  const turn = (action) => async () => void (await call("dev_server", { action }));

  return function devServerOf({ dev_server: { on, state, since, trouble, stopped_because: because } }) {
    const [word, kind, about] = DEV_SERVER[state] ?? [state, "", ""];
    const act = on
      ? button("dev-server", "Stop", "Stopping", turn("stop"), { kind: "quiet", label: "Stop the dev server" })
      : button("dev-server", "Start", "Starting, and pushing what is not live yet", turn("start"), {
          kind: "quiet",
          label: "Start the dev server",
        });
    const problem = trouble ?? (on ? null : because);
    return [
      row([about, on && since && soft("Started ", when(since))], badge(word, kind), act),
      problem && said(problem, "bad"),
    ];
  };
}

function pushesSection({ open }) {
  function pushOf(push, latest) {
    const [word, kind] = OUTCOMES[push.outcome] ?? [push.outcome, ""];
    const [problem, step] = push.failure ? failureOf(push) : [];
    const head = [
      badge(word, kind),
      problem && element("span", { class: "what" }, problem),
      element("span", { class: "soft" }, when(push.at), ` · ${push.duration_s.toFixed(1)} s`),
    ];
    if (!problem && push.diagnostics.length === 0) return element("div", { class: "push" }, ...head);
    return open(
      `push-${push.id}`,
      latest && !!problem,
      element("span", { class: "push" }, ...head),
      ...push.diagnostics.map(diagnosticOf),
      push.omitted > 0 && soft(`And ${counted(push.omitted, "more problem")} like these.`),
      step && said(step),
    );
  }

  function diagnosticOf({ file, line, column, code: name, message, snippet, hint }) {
    const where = [file, line, column].filter((part) => part !== null && part !== undefined).join(":");
    return element(
      "div",
      { class: "diagnostic" },
      element("p", {}, where && code(where), where && " ", element("span", { class: "soft" }, name)),
      element("p", { class: "lines" }, message),
      snippet && element("pre", { tabindex: "0", "aria-label": "Source" }, snippet.trim()),
      hint && element("p", { class: "lines" }, element("b", {}, "Fix: "), hint),
    );
  }

  return function pushesOf({ pushes }) {
    if (pushes.length === 0) return [soft("Nothing was pushed yet. Ask your assistant to build something.")];
    return [list(pushes.map((one, index) => [pushOf(one, index === 0)]))];
  };
}

function envVarsSection({ known, button, lookAtEnvVars, onAPage }) {
  const why = "You asked for it in the panel.";

  function envVarOf({ name, is_set: isSet, optional, needed_by: file }) {
    const state = isSet ? badge("set", "good") : optional ? badge("optional") : badge("missing", "bad");
    const text = isSet ? "Change" : "Set";
    const act = button(`set-${name}`, text, "Opening a page", () => onAPage("request_env_var", { name, why }), {
      kind: isSet || optional ? "quiet" : undefined,
      label: `${text} ${name}`,
    });
    return item([code(name), file && soft("Used in ", code(file))], state, act);
  }

  return function envVarsOf() {
    if (known.envVars === null) return [soft("Asking the deployment…")];
    const again = button("env-vars", "Look again", "Asking the deployment", lookAtEnvVars, { kind: "plain" });
    if (known.envVars.problem) return [said(known.envVars.problem, "bad"), again];
    const shown = known.envVars.env_vars.filter((one) => !one.managed);
    const missing = shown.filter((one) => !one.is_set && !one.optional).length;
    return [
      missing > 0 && said(`Your code needs ${counted(missing, "more value")}.`),
      shown.length > 0
        ? soft("You type a value on a page of its own. Neither this panel nor your assistant sees it.")
        : soft("The code asks for none."),
      shown.length > 0 && list(shown.map(envVarOf)),
      again,
    ];
  };
}
