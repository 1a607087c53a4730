// What every part of the page uses: the data, elements, texts, and the colour and dash of each experiment.

/**
 * An element of the skeleton.
 * @param {string} id
 */
function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no element ${id}`);
  return found;
}

/**
 * The first element inside of another that a selector describes.
 * @param {Element} outer
 * @param {string} selector
 */
function within(outer, selector) {
  const found = outer.querySelector(selector);
  if (!found) throw new Error(`there is no ${selector}`);
  return found;
}

const DATA = /** @type {ReportData} */ (JSON.parse(byId("data").textContent));
const DASHES = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot"];
const DASH_ARRAYS = ["", "6 3", "2 3", "6 3 2 3", "10 4", "10 3 2 3"];
/** @type {Record<string, string>} */
const STATUS_SIGNS = { completed: "✓", failed: "✕", interrupted: "■", running: "●", unknown: "?" };
const ABSENT = "–";

/**
 * An element; texts become text and never markup.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, any>} attributes
 * @param {...Children} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name.startsWith("aria")) made.setAttribute(`aria-${name.slice(4).toLowerCase()}`, value);
    else if (name in made) Reflect.set(made, name, value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...present(children.flat()));
  return made;
}

/**
 * Without what is missing.
 * @template T
 * @param {(T | false | null | undefined)[]} items
 * @returns {T[]}
 */
function present(items) {
  return items.flatMap((item) => (item === null || item === undefined || item === false ? [] : [item]));
}

/**
 * A number with four significant digits.
 * @param {unknown} value
 */
function shortNumber(value) {
  if (typeof value === "boolean") return String(value);
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return value.toLocaleString("en", { useGrouping: Math.abs(value) >= 1e5 });
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e7)) return value.toExponential(3).replace(/\.?0+e/, "e").replace("e+", "e");
  return String(Number(value.toPrecision(4)));
}

/**
 * A setting as Python writes it, but for digits that nobody chose.
 * @param {unknown} value
 */
function settingText(value) {
  if (typeof value !== "number") return String(value);
  const short = Number(value.toPrecision(6));
  return short !== 0 && Math.abs(short) < 1e-4 ? short.toExponential().replace(/e-(\d)$/, "e-0$1") : String(short);
}

/**
 * @param {number} count
 * @param {string} one
 * @param {string} several
 */
function plural(count, one, several = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : several}`;
}

/** @param {number | null | undefined} seconds */
function duration(seconds) {
  if (seconds === null || seconds === undefined) return ABSENT;
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/**
 * A moment in UTC, to the minute or the second.
 * @param {string | null} text
 * @param {number} [digits]
 */
function moment(text, digits = 16) {
  return text ? text.slice(0, digits).replace("T", " ") : ABSENT;
}

/**
 * @param {string} status
 * @param {string | null} reason
 */
function statusBadge(status, reason) {
  const told = reason && (status === "failed" || status === "interrupted") ? `${status} · ${reason}` : status;
  return el("span", { className: `status ${status}` }, el("span", { ariaHidden: "true" }, STATUS_SIGNS[status] || "?"), told);
}

const TITLES = DATA.titles;
const PLACES = DATA.places;
const FAILURES = new Map(DATA.failures.map((one) => [one.id, one]));
const POSITIONS = new Map(DATA.experiments.map((one, at) => [one.id, at]));

/** The colours of the series in the present theme; hues of Okabe and Ito, told apart by all kinds of colour vision. */
function palette() {
  return getComputedStyle(document.documentElement).getPropertyValue("--series").trim().split(/\s+/);
}

/** @param {number} place */
function colourOf(place) {
  const colours = palette();
  return colours[place % colours.length];
}

/** @param {number} place */
function dashOf(place) {
  return Math.floor(place / palette().length) % DASHES.length;
}

/** @param {unknown} error */
function messageOf(error) {
  return error instanceof Error ? error.message : String(error);
}

/**
 * @param {string} colour
 * @param {number} alpha
 */
function faded(colour, alpha) {
  const parts = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  return `rgba(${parts.join(", ")}, ${alpha})`;
}

/**
 * A piece of the line that has this place in the row of colours and dashes.
 * @param {number} place
 */
function swatch(place) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  made.setAttribute("class", "swatch");
  made.setAttribute("viewBox", "0 0 26 10");
  made.setAttribute("aria-hidden", "true");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
  const look = { x1: 1, x2: 25, y1: 5, y2: 5, "stroke-width": 3, stroke: colourOf(place), "stroke-dasharray": DASH_ARRAYS[dashOf(place)] };
  for (const [name, value] of Object.entries(look)) line.setAttribute(name, String(value));
  made.append(line);
  made.dataset.place = String(place);
  return made;
}

function recolourSwatches() {
  for (const made of /** @type {NodeListOf<SVGElement>} */ (document.querySelectorAll("svg.swatch"))) {
    made.firstElementChild?.setAttribute("stroke", colourOf(Number(made.dataset.place)));
  }
}

/**
 * Names and texts as pairs.
 * @param {[string, unknown][]} rows
 */
function pairs(rows) {
  return el("dl", { className: "pairs" }, rows.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, valueText(value))]));
}

/** @param {unknown} value */
function valueText(value) {
  if (value === null || value === undefined) return ABSENT;
  return typeof value === "number" ? String(value) : value instanceof Node ? value : String(value);
}

/**
 * @param {string} id
 * @param {string} title
 * @param {string | null} [aside]
 */
function section(id, title, aside) {
  return el("section", { id, ariaLabel: title }, el("div", { className: "section-head" }, el("h2", {}, title), aside && el("span", { className: "muted small" }, aside)));
}
