// Failures, settings side by side, and everything that is known about each experiment.

const WIDE_FROM = 9;
const FIGURE_HEIGHT = 440;
/** Kinds of charts that a saved figure can have and that this page, which may load nothing, cannot draw. */
const UNDRAWABLE = /geo$|^choropleth|^(scatter|density)map|^splom$|^parcoords$/;

/** @param {boolean} isOne */
function failuresSection(isOne) {
  if (DATA.failures.length === 0) return null;
  const made = section("failures", isOne ? "Failure" : "Failures", isOne ? null : "newest first");
  made.append(el("div", { className: "card" }, DATA.failures.map((one) => {
    const position = POSITIONS.get(one.id);
    const name = position === undefined ? one.name : TITLES[position];
    return el("article", { className: "failure" },
      el("div", { className: "failure-head" },
        el("h3", {}, position === undefined ? name : el("a", { href: `#exp-${position}`, onclick: () => openDetails(position) }, name)),
        statusBadge(one.status, one.reason), el("span", { className: "muted small" }, one.ended ? `${moment(one.ended, 19)} UTC` : "")),
      failureText(one, isOne));
  })));
  return made;
}

/**
 * @param {Failure} one
 * @param {boolean} [isOpen]
 * @returns {Child[]}
 */
function failureText(one, isOpen = false) {
  if (!one.failure) return [el("p", { className: "muted" }, one.evidence || "No exception was recorded.")];
  return [
    el("p", { className: "message" }, el("code", {}, one.failure.type), one.failure.message ? `: ${one.failure.message}` : ""),
    one.evidence && el("p", { className: "muted" }, one.evidence),
    el("details", { className: "inner", open: isOpen }, el("summary", {}, "Traceback"), el("pre", { tabIndex: 0 }, one.failure.traceback)),
  ];
}

function settingsSection() {
  const { differing, shared } = DATA.settings;
  if (DATA.experiments.length < 2) return null;
  const made = section("settings", "Settings", differing.length ? plural(DATA.settings.differing_count, "differs", "differ") : "all the same");
  const shownAs = (/** @type {string | null} */ value) => (value === null ? el("span", { className: "absent" }, "not set") : value);
  const heading = (/** @type {number} */ at) => el("span", { className: "named" }, swatch(PLACES[at]), el("span", {}, TITLES[at]));
  if (differing.length) {
    const isWide = DATA.experiments.length >= WIDE_FROM;
    /** @type {[Child, (string | null)[]][]} */
    const rows = isWide
      ? DATA.experiments.map((_, at) => [heading(at), differing.map(([, values]) => values[at])])
      : differing;
    const heads = isWide ? ["Experiment", ...differing.map(([key]) => key)] : ["Setting", ...DATA.experiments.map((_, at) => heading(at))];
    made.append(el("div", { className: "card" }, el("div", { className: "scroll", tabIndex: 0, role: "region", ariaLabel: "Settings that differ" },
      el("table", {}, el("thead", {}, el("tr", {}, heads.map((head) => el("th", { scope: "col" }, head)))),
        el("tbody", {}, rows.map(([head, values]) => el("tr", {}, el("th", { scope: "row" }, head), values.map((value) => el("td", { className: "value" }, shownAs(value))))))))));
  }
  if (shared.length) made.append(el("details", { className: "inner", style: "margin-top: .75rem" }, el("summary", {}, `${plural(shared.length, "setting")} that all share`), pairs(shared)));
  return made;
}

/**
 * What fills the details of each experiment, which are empty until they are opened.
 * @type {(() => void)[]}
 */
const FILLS = [];

function detailsSection() {
  if (DATA.experiments.length === 0) return null;
  const made = section("details", "Details");
  const isOpen = DATA.experiments.length <= 2;
  // Newest first, as in the table.
  for (let position = DATA.experiments.length - 1; position >= 0; position -= 1) made.append(experimentDetails(position, isOpen));
  addEventListener("beforeprint", () => FILLS.forEach((fill) => fill()));
  return made;
}

/** @param {number} position */
function openDetails(position) {
  byId(`exp-${position}`).setAttribute("open", "");
}

/**
 * @param {number} position
 * @param {boolean} isOpen
 */
function experimentDetails(position, isOpen) {
  const one = DATA.experiments[position];
  const body = el("div", { className: "body" });
  const made = el("details", { className: "experiment card", id: `exp-${position}` },
    el("summary", {}, swatch(PLACES[position]), el("strong", {}, TITLES[position]), statusBadge(one.status, one.reason),
      el("span", { className: "muted small push" }, one.status === "running" ? `running at the time of the report, started ${moment(one.started)} UTC` : `${moment(one.started)} UTC, ${duration(one.ended ? (Date.parse(one.ended) - Date.parse(one.started)) / 1000 : null)}`)),
    body);
  let isFilled = false;
  const fill = () => {
    if (isFilled) return;
    isFilled = true;
    body.append(...present(detailParts(one, position)));
  };
  FILLS.push(fill);
  made.addEventListener("toggle", () => made.open && fill());
  if (isOpen) { made.open = true; fill(); }
  return made;
}

/**
 * @param {string} title
 * @param {...Children} children
 */
function part(title, ...children) {
  return el("div", {}, el("h4", {}, title), ...children);
}

/**
 * @param {number} shown
 * @param {number} all
 * @param {string} what
 */
function more(shown, all, what) {
  return all > shown ? el("p", { className: "muted small" }, `${shown} of ${plural(all, what)} are shown.`) : null;
}

/**
 * @param {ExperimentData} one
 * @param {number} position
 * @returns {Child[]}
 */
function detailParts(one, position) {
  const failure = FAILURES.get(one.id);
  /** @type {[string, unknown][]} */
  const facts = [
    ["Id", el("span", { className: "mono" }, one.id)], ["Host", one.host], ["Function", one.function], ["Inside of", one.parent],
    ["Tags", one.tags.length > 0 && el("span", {}, one.tags.map((tag) => el("span", { className: "tag" }, tag)))],
    ["Attempts", one.attempts > 1 ? one.attempts : null], ["Ended", one.ended ? `${moment(one.ended, 19)} UTC` : null],
    ["History", one.history_problem ? `damaged: ${one.history_problem}` : historyText(one, position)],
  ];
  const packages = DATA.packages[one.packages ?? -1] ?? [];
  const first = DATA.experiments.findIndex((other) => other.packages === one.packages);
  return [
    one.description && part("Description", el("p", { className: "notes" }, one.description)),
    one.notes && part("Notes", el("p", { className: "notes" }, one.notes)),
    failure && part("What ended it", ...failureText(failure)),
    el("div", { className: "columns" },
      part("Record", pairs(facts.filter(([, value]) => value))),
      one.metrics.length > 0 && part("Final metrics", pairs(one.metrics.map(([name, value]) => [name, value])), more(one.metrics.length, one.final_metrics, "metric")),
      one.config.length > 0 && part("Config", pairs(one.config), more(one.config.length, one.settings, "setting"))),
    picturesPart(position),
    (one.environment.length > 0 || one.environment_problem) && el("details", { className: "inner" }, el("summary", {}, "Environment"),
      one.environment_problem && el("p", { className: "notice" }, one.environment_problem), pairs(one.environment)),
    packages.length > 0 && el("details", { className: first === position ? "inner" : "inner again" }, el("summary", {}, plural(packages.length, "installed package")), el("ul", { className: "packages" }, packages.map((line) => el("li", {}, line)))),
    packages.length > 0 && first !== position && el("p", { className: "paper-only muted" }, `The same ${plural(packages.length, "installed package")} as ${TITLES[first]}.`),
  ];
}

/**
 * @param {ExperimentData} one
 * @param {number} position
 */
function historyText(one, position) {
  if (!one.has_history) return "none was logged";
  const own = DATA.curves.filter((curve) => curve.owner === position);
  return `${plural(own.length, "metric")}, ${plural(Math.max(0, ...own.map((curve) => curve.logged)), "point")} at most`;
}

/** @param {number} position */
function picturesPart(position) {
  const pictures = DATA.pictures[position];
  if (pictures.length === 0) return null;
  const rank = (/** @type {Picture} */ one) => (one.source ? 0 : one.figure ? 1 : 2);
  const sorted = [...pictures].sort((one, other) => rank(one) - rank(other));
  return part("Pictures", el("div", { className: "pictures" }, sorted.map((one) => {
    if (one.source) return el("figure", {}, el("img", { src: one.source, alt: one.name, loading: "lazy" }), el("figcaption", {}, one.name));
    if (one.figure) return figure(one.name, one.figure, one.remark);
    return el("figure", {}, el("p", { className: "notice" }, `${one.name} ${one.problem}`));
  })));
}

/**
 * A saved plotly figure, drawn live. It is data: Plotly runs nothing of it, and the page may load nothing for it.
 * @param {string} name
 * @param {Figure} one
 * @param {string | null | undefined} remark
 */
function figure(name, one, remark) {
  const paper = el("div", { className: "paper" });
  const caption = el("figcaption", {}, remark ? `${name}: ${remark}` : name);
  const kinds = one.data.map((trace) => String(trace && trace.type));
  const undrawable = kinds.find((kind) => UNDRAWABLE.test(kind));
  if (undrawable) {
    paper.append(el("p", { className: "notice" }, `A figure of the kind ${undrawable} needs what this page may not load; plotly.io.read_json("${name}") opens it.`));
  } else {
    const drawn = (async () => {
      const plotly = await loadPlotly();
      // The kinds ending in "gl" compile code at run time, which the policy of this page forbids; the plain ones look the same.
      const data = one.data.map((trace) => ({ ...trace, ...(trace.type ? { type: String(trace.type).replace(/gl$/, "") } : {}) }));
      await plotly.newPlot(paper, data, { ...one.layout, autosize: true, width: undefined, height: Number(one.layout.height) || FIGURE_HEIGHT }, PLOT_OPTIONS);
    })();
    drawn.catch((error) => { paper.replaceChildren(el("p", { className: "notice" }, `Plotly cannot draw ${name}: ${messageOf(error)}`)); });
  }
  return el("figure", { className: "wide" }, paper, caption);
}
