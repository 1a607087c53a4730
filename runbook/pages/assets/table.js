// The table of experiments: sorted by its headings, filtered by words and status, a page at a time.

const PAGE_ROWS = matchMedia("(max-width: 640px)").matches ? 10 : 25;
const PRINTED_ROWS = 1000;

function experimentTable() {
  const { settings, leading, metrics, best, rows } = DATA.table;
  const settingColumns = settings.map((name, at) => valueColumn(name, at < leading ? "Settings that differ" : "More settings", rows, (row) => row[7][at], { show: settingText }));
  /** @type {Column[]} */
  const known = [
    { title: "Name", kind: "", get: (row) => row[1] || row[0], cell: nameCell, className: "name" },
    { title: "Status", kind: "", get: (row) => row[2], cell: (row) => el("td", {}, statusBadge(row[2], row[3])) },
    { title: "Started (UTC)", kind: "", get: (row) => row[4], cell: (row) => el("td", { className: "number" }, moment(row[4])), isNumber: true },
    { title: "Duration", kind: "", get: (row) => row[5], cell: durationCell, isNumber: true },
    ...settingColumns.slice(0, leading),
    ...metrics.map((name, at) => valueColumn(name, "Final metrics", rows, (row) => row[8][at], { show: shortNumber, best: best[at] })),
    ...settingColumns.slice(leading),
    { title: "Tags", kind: "Record", isRecord: true, get: (row) => row[6].join(" ") || null, cell: (row) => el("td", { className: "tags" }, row[6].map((tag) => el("span", { className: "tag" }, tag))) },
    { title: "Id", kind: "Record", isRecord: true, get: (row) => row[0], cell: (row) => el("td", { className: "id" }, row[0]) },
  ];
  const columns = known.filter((column) => column.title !== "Tags" || rows.some((row) => row[6].length));
  columns.forEach((column, at) => { column.isFirst = at > 0 && columns[at - 1].kind !== column.kind; });

  const texts = rows.map((row) => [
    row[0], row[1], row[2], row[3] || "", ...row[6],
    ...settings.map((name, at) => `${name}=${row[7][at] ?? ""}`), ...metrics.map((name, at) => `${name}=${row[8][at] ?? ""}`),
  ].join("\n").toLowerCase());
  /** @type {TableState} */
  const state = { column: 0, descending: true, words: [], statuses: new Set(), page: 0, order: [] };

  const head = el("thead");
  const body = el("tbody");
  const count = el("span", { className: "muted small", role: "status" });
  const before = el("button", { type: "button", onclick: () => turn(-1) }, "Previous");
  const after = el("button", { type: "button", onclick: () => turn(1) }, "Next");
  const place = el("span");
  const pager = el("div", { className: "pager" }, place, before, after);

  function arrange() {
    const { get } = columns[state.column];
    const fits = (/** @type {number} */ at) => (state.statuses.size === 0 || state.statuses.has(rows[at][2])) && state.words.every((word) => texts[at].includes(word));
    const found = rows.map((_, at) => at).filter(fits);
    const sign = state.descending ? -1 : 1;
    found.sort((one, other) => compareCells(get(rows[one]), get(rows[other]), sign) || one - other);
    state.order = found;
    state.page = 0;
    show();
  }

  /** @param {number} [most] */
  function show(most = PAGE_ROWS) {
    const start = state.page * most;
    const shown = state.order.slice(start, start + most);
    body.replaceChildren(...shown.map((at) => el("tr", {}, columns.map((column) => marked(column, column.cell(rows[at]))))));
    if (shown.length === 0) body.append(el("tr", {}, el("td", { colSpan: columns.length, className: "muted" }, rows.length ? "No experiment fits the filter." : "There are no experiments.")));
    count.textContent = state.order.length === rows.length ? plural(rows.length, "experiment") : `${state.order.length.toLocaleString("en")} of ${plural(rows.length, "experiment")}`;
    const last = Math.ceil(state.order.length / most) - 1;
    pager.hidden = last <= 0;
    place.textContent = `${(start + 1).toLocaleString("en")}–${(start + shown.length).toLocaleString("en")} of ${state.order.length.toLocaleString("en")}`;
    before.disabled = state.page === 0;
    after.disabled = state.page >= last;
  }

  /** @param {number} pages */
  function turn(pages) {
    state.page += pages;
    show();
  }

  /**
   * @param {Column} column
   * @param {HTMLElement} cell
   */
  function marked(column, cell) {
    if (column.isFirst) cell.classList.add("first-of-kind");
    if (column.isRecord) cell.classList.add("record");
    return cell;
  }

  /** @param {number} at */
  function sortBy(at) {
    state.descending = state.column === at ? !state.descending : Boolean(columns[at].isNumber);
    state.column = at;
    headings.forEach((heading, other) => {
      heading.setAttribute("aria-sort", other === at ? (state.descending ? "descending" : "ascending") : "none");
      within(heading, ".arrow").textContent = other === at ? (state.descending ? "↓" : "↑") : "";
    });
    arrange();
  }

  const headings = columns.map((column, at) => marked(column, el(
    "th", { scope: "col", className: column.isNumber ? "number" : "", ariaSort: "none" },
    el("button", { type: "button", title: column.title, onclick: () => sortBy(at) }, el("span", {}, column.title), el("span", { className: "arrow", ariaHidden: "true" })),
  )));
  if (columns.some((column) => column.isFirst)) head.append(el("tr", { className: "kinds" }, kindHeadings(columns)));
  head.append(el("tr", {}, headings));

  const words = el("input", {
    type: "search", id: "filter", placeholder: "Filter by name, id, tag or setting, such as lr=0.1", ariaLabel: "Filter the experiments",
    oninput: () => { state.words = words.value.toLowerCase().split(/\s+/).filter(Boolean); arrange(); },
  });
  const choices = el("div", { className: "choices", role: "group", ariaLabel: "Filter by status" }, Object.entries(DATA.counts).map(([status, number]) => {
    const choice = el("button", {
      type: "button", ariaPressed: "false", onclick: () => {
        const isOn = choice.getAttribute("aria-pressed") !== "true";
        choice.setAttribute("aria-pressed", String(isOn));
        if (isOn) state.statuses.add(status); else state.statuses.delete(status);
        arrange();
      },
    }, `${STATUS_SIGNS[status]} ${status} ${number.toLocaleString("en")}`);
    choice.dataset.status = status;
    return choice;
  }));

  const made = section("experiments", "Experiments");
  within(made, ".section-head").append(count);
  made.append(el("div", { className: "card" },
    rows.length > 1 && el("div", { className: "tools" }, words, choices),
    el("div", { className: "scroll", tabIndex: 0, role: "region", ariaLabel: "Table of experiments" }, el("table", {}, el("caption", { className: "visually-hidden" }, "Experiments; the headings sort"), head, body)),
    pager));
  addEventListener("beforeprint", () => { state.page = 0; show(PRINTED_ROWS); });
  addEventListener("afterprint", () => show());
  sortBy(2);
  return made;
}

/**
 * Numbers by size, then texts; what is missing comes last in both directions.
 * @param {Scalar | undefined} one
 * @param {Scalar | undefined} other
 * @param {number} sign
 */
function compareCells(one, other, sign) {
  const rank = (/** @type {Scalar | undefined} */ value) => (value === null || value === undefined || value === "" ? 2 : asNumber(value) === null ? 1 : 0);
  const [first, second] = [rank(one), rank(other)];
  if (first !== second) return first === 2 || second === 2 ? first - second : sign * (first - second);
  if (first === 2) return 0;
  if (first === 0) {
    const [left, right] = [Number(asNumber(one)), Number(asNumber(other))];
    if (Number.isNaN(left) || Number.isNaN(right)) return Number(Number.isNaN(left)) - Number(Number.isNaN(right));
    return left === right ? 0 : sign * (left < right ? -1 : 1);
  }
  return sign * String(one).localeCompare(String(other), "en", { numeric: true });
}

/** @type {Map<unknown, number>} */
const NON_FINITE = new Map([["NaN", NaN], ["Infinity", Infinity], ["-Infinity", -Infinity]]);

/**
 * @param {unknown} value
 * @returns {number | null}
 */
function asNumber(value) {
  if (typeof value === "number") return value;
  if (typeof value === "boolean") return Number(value);
  return NON_FINITE.get(value) ?? null;
}

/** @param {Column[]} columns */
function kindHeadings(columns) {
  /** @type {(Column & { span: number })[]} */
  const kinds = [];
  for (const column of columns) {
    const last = kinds.at(-1);
    if (last?.kind === column.kind) last.span += 1;
    else kinds.push({ ...column, span: 1 });
  }
  return kinds.map(({ kind, span, isFirst, isRecord }) => el("th", { colSpan: span, scope: "colgroup", className: `${isFirst ? "first-of-kind" : ""} ${isRecord ? "record" : ""}` }, kind));
}

/**
 * @param {string} title
 * @param {string} kind
 * @param {TableRow[]} rows
 * @param {(row: TableRow) => Scalar | undefined} get
 * @param {{ show: (value: unknown) => string, best?: Best | null }} look
 * @returns {Column}
 */
function valueColumn(title, kind, rows, get, { show, best = null }) {
  const isNumber = rows.some((row) => typeof get(row) === "number") && rows.every((row) => get(row) === null || asNumber(get(row)) !== null);
  const winners = new Set(best ? best.rows.map((at) => rows[at]) : []);
  const cell = (/** @type {TableRow} */ row) => {
    const made = valueCell(get(row), isNumber, show);
    if (best && winners.has(row)) made.prepend(el("span", { className: "best", title: `the ${best.direction === "min" ? "lowest" : "highest"} ${title}` }, "★ "));
    return made;
  };
  return { title, kind, get, isNumber, cell };
}

/**
 * @param {Scalar | undefined} value
 * @param {boolean} isNumber
 * @param {(value: unknown) => string} show
 */
function valueCell(value, isNumber, show) {
  const cell = el("td", { className: isNumber ? "number" : typeof value === "string" && value.length > 24 ? "value" : "value short" });
  if (value === null || value === undefined) cell.append(el("span", { className: "absent" }, ABSENT));
  else if (typeof value === "number") { cell.append(show(value)); cell.title = String(value); }
  else if (typeof value === "string" && asNumber(value) !== null) cell.append(el("span", { className: "odd" }, value));
  else cell.append(String(value));
  return cell;
}

/** @param {TableRow} row */
function nameCell(row) {
  const position = POSITIONS.get(row[0]);
  const name = position === undefined ? row[1] || row[0] : row[1] || TITLES[position];
  const text = position === undefined ? name : el("a", { href: `#exp-${position}`, onclick: () => openDetails(position) }, name);
  return el("td", { className: "name" }, el("span", { className: "named" }, position === undefined ? null : swatch(PLACES[position]), el("span", {}, text)));
}

/** @param {TableRow} row */
function durationCell(row) {
  return el("td", { className: "number" }, row[2] === "running" ? `${duration(row[5])} so far` : duration(row[5]));
}
