// The page put together: the head, its sections, the theme and printing.

function summarySection() {
  const rows = DATA.table.rows;
  const only = DATA.experiments.length === 1 && rows.length === 1 ? DATA.experiments[0] : null;
  const title = only ? TITLES[0] : DATA.is_whole ? DATA.base_dir.split(/[\\/]/).filter(Boolean).at(-1) || DATA.base_dir : plural(rows.length, "experiment");
  const made = el("section", { id: "summary", ariaLabel: "Summary" },
    el("h1", {}, title),
    el("p", { className: "lead" }, only && only.description ? only.description : `${DATA.is_whole ? "All experiments of" : "From"} ${DATA.base_dir}`));
  const tile = (/** @type {string | Child[]} */ name, /** @type {Child} */ value, className = "") => el("div", { className: "tile card" }, el("dt", {}, name), el("dd", { className }, value));
  if (only) {
    made.append(el("dl", { className: "tiles" },
      tile("Status", statusBadge(only.status, only.reason), "words"), tile("Started (UTC)", moment(only.started), "words"), tile("Duration", duration(rows[0][5]), "words"),
      only.metrics.slice(0, 4).map(([name, value]) => tile(name, shortNumber(value)))));
  } else {
    made.append(el("dl", { className: "tiles" }, tile("Experiments", rows.length.toLocaleString("en")),
      Object.entries(DATA.counts).map(([status, count]) => tile([el("span", { className: `status ${status}`, ariaHidden: "true" }, STATUS_SIGNS[status]), status], count.toLocaleString("en")))));
  }
  if (DATA.remarks.length) made.append(el("ul", { className: "remarks" }, DATA.remarks.map((remark) => el("li", {}, remark))));
  return made;
}

const THEMES = ["auto", "light", "dark"];

function setUpTheme() {
  const button = byId("theme");
  const root = document.documentElement;
  const tell = () => { button.textContent = `Theme: ${root.dataset.theme}`; };
  const apply = () => { recolourSwatches(); redraw(); };
  button.addEventListener("click", () => {
    root.dataset.theme = THEMES[(THEMES.indexOf(root.dataset.theme ?? "") + 1) % THEMES.length];
    tell();
    apply();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", apply);
  tell();
}

const PAPER_WIDTH = 690;

/** What is printed is light, open and as wide as the paper; afterwards all is as it was. */
function setUpPrinting() {
  const root = document.documentElement;
  /** @type {{ theme: string | undefined, closed: HTMLDetailsElement[] } | null} */
  let before = null;
  byId("print").addEventListener("click", async () => {
    if (DATA.curves.length) await loadPlotly().catch(() => null);
    window.print();
  });
  addEventListener("beforeprint", () => {
    if (before) return;
    const closed = closedDetails("");
    before = { theme: root.dataset.theme, closed };
    root.dataset.theme = "light";
    root.classList.add("printing");
    closed.forEach((one) => { one.open = true; });
    // Opened, an experiment has more of them.
    for (const one of closedDetails(".inner")) { closed.push(one); one.open = true; }
    for (const table of wideTables()) table.style.zoom = String(Math.min(1, PAPER_WIDTH / table.scrollWidth));
    recolourSwatches();
    drawForPaper();
  });
  addEventListener("afterprint", () => {
    if (!before) return;
    root.dataset.theme = before.theme;
    root.classList.remove("printing");
    before.closed.forEach((one) => { one.open = false; });
    before = null;
    for (const table of wideTables()) table.style.zoom = "";
    recolourSwatches();
    drawForScreen();
  });
}

/** @param {string} which */
function closedDetails(which) {
  return [.../** @type {NodeListOf<HTMLDetailsElement>} */ (document.querySelectorAll(`details${which}:not([open])`))];
}

function wideTables() {
  return /** @type {NodeListOf<HTMLTableElement>} */ (document.querySelectorAll(".scroll table"));
}

function build() {
  const isOne = DATA.table.rows.length === 1 && DATA.experiments.length === 1;
  // Of a single experiment the summary says what its line in a table would.
  const parts = present([summarySection(), isOne ? null : experimentTable(), failuresSection(isOne), curvesSection(), settingsSection(), detailsSection()]);
  byId("main").append(...parts);
  byId("sections").append(...parts.slice(1).map((one) => el("a", { href: `#${one.id}` }, one.getAttribute("aria-label"))));
  byId("about").append(
    el("p", {}, `Made ${moment(DATA.made_at, 19)} UTC by runbook ${DATA.version} from ${DATA.base_dir}. This file loads nothing and sends nothing.`),
    el("p", {}, `Charts by plotly.js ${DATA.plotly}, MIT licence.`));
  setUpTheme();
  setUpPrinting();
  // Made ready while nothing else is to do, so that scrolling and printing need not wait.
  if (DATA.curves.length) (window.requestIdleCallback ?? setTimeout)(() => loadPlotly().catch(() => null));
}

build();
