// The curves: one chart a metric, drawn by Plotly when it comes into sight.

/** So many experiments are first shown as the means of their groups, where there are groups. */
const MANY = 9;
/** From so many lines on, only the nearest one tells its value. */
const CLOSEST_FROM = 9;

/** Plotly, from the compressed script in the page; a promise, made once. */
const loadPlotly = (() => {
  /** @type {Promise<PlotlyLibrary> | null} */
  let loading = null;
  return () => {
    loading ??= (async () => {
      if (typeof DecompressionStream === "undefined") throw new Error("this browser is too old for the charts; Chrome 80, Firefox 113 and Safari 16.4 are not");
      const bytes = Uint8Array.from(atob(byId("plotly").textContent), (char) => char.charCodeAt(0));
      const code = await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
      const script = el("script");
      script.textContent = code;
      document.head.append(script);
      if (!window.Plotly) throw new Error("the script that draws the charts did not run");
      return window.Plotly;
    })();
    return loading;
  };
})();

/** @param {Packed} packed */
function numbers(packed) {
  if ("count" in packed) return Float64Array.from({ length: packed.count }, (_, at) => packed.start + at * packed.stride);
  const bytes = Uint8Array.from(atob(packed.base64), (char) => char.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const width = packed.type === "f" ? 4 : 8;
  return Float64Array.from({ length: bytes.length / width }, (_, at) => (width === 4 ? view.getFloat32(at * 4, true) : view.getFloat64(at * 8, true)));
}

/**
 * The exponential moving average, corrected for its start at zero; a gap stays a gap and changes nothing.
 * @param {Float64Array} values
 * @param {number} weight
 */
function smoothed(values, weight) {
  if (weight === 0) return values;
  let average = 0;
  let missing = 1;
  return values.map((value) => {
    if (!Number.isFinite(value)) return value;
    average = average * weight + (1 - weight) * value;
    missing *= weight;
    return average / (1 - missing);
  });
}

/**
 * Plotly reads a little HTML in texts; these are to be read as they are.
 * @param {string} text
 */
function plainText(text) {
  return text.replace(/[&<>]/g, (char) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[char] ?? char);
}

function chartLook() {
  const style = getComputedStyle(document.documentElement);
  const of = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
  return { text: of("--text"), muted: of("--muted"), grid: of("--grid"), line: of("--line"), card: of("--card") };
}

/** Plotly 4 has a button that sends the data to its makers' servers; it is taken out, and the servers have no address. */
const PLOT_OPTIONS = {
  responsive: true, displaylogo: false, showSendToCloud: false, plotlyServerURL: "about:blank", topojsonURL: "about:blank",
  modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d", "sendChartToCloud"],
};
const SLIDER_PAUSE_MS = 60;
/** What the controls say, and the charts. */
/** @type {ChartsState} */
const CHARTS = { weight: 0, isMeans: false, logSteps: false, paper: null, hidden: new Set(), all: [] };

/**
 * What is drawn in the present mode: a key, a title, and the place in the row of colours and dashes.
 * @param {boolean} isMeans
 * @returns {Series[]}
 */
function seriesOf(isMeans) {
  const withCurves = [...new Set(DATA.curves.map((curve) => curve.owner))].sort((one, other) => one - other);
  const grouped = new Set(DATA.groups.flatMap((group) => group.members));
  const groups = DATA.groups.map((group, at) => ({ key: `mean ${at}`, title: `${group.name} (mean of ${group.members.length})`, place: at }));
  const single = withCurves.filter((owner) => !isMeans || !grouped.has(owner));
  // Alone, an experiment keeps its colour; beside groups it has one that no group has.
  return [...(isMeans ? groups : []), ...single.map((owner, at) => ({ key: `one ${owner}`, title: TITLES[owner], place: isMeans ? groups.length + at : PLACES[owner] }))];
}

function curvesSection() {
  const unlogged = DATA.experiments.filter((one) => !one.has_history && !one.history_problem).length;
  const made = section("curves", "Curves");
  const problems = DATA.experiments.flatMap((one, at) => (one.history_problem ? [`The history of ${TITLES[at]} cannot be shown: ${one.history_problem}`] : []));
  made.append(...problems.map((problem) => el("p", { className: "notice" }, problem)));
  if (DATA.curves.length === 0) {
    made.append(el("p", { className: "muted" }, DATA.experiments.length ? "None of these experiments has a history that can be drawn." : "There is nothing to draw."));
    return made;
  }
  CHARTS.isMeans = DATA.groups.length > 0 && seriesOf(false).length > MANY;
  const { made: lines, update } = legend();
  const metrics = [...new Set(DATA.curves.map((curve) => curve.metric))];
  /** @type {(Float64Array | null)[]} */
  const steps = DATA.steps.map(() => null);
  const stepsOf = (/** @type {number} */ at) => (steps[at] ??= numbers(DATA.steps[at]));
  const unpack = (/** @type {PackedCurve} */ curve) => ({ ...curve, x: stepsOf(curve.steps), y: numbers(curve.values), low: curve.low && numbers(curve.low), high: curve.high && numbers(curve.high) });
  const charts = el("div", { className: metrics.length === 1 ? "charts single" : "charts" });
  CHARTS.all = metrics.map((metric) => {
    const chart = makeChart(metric, () => DATA.curves.filter((curve) => curve.metric === metric).map(unpack), () => DATA.means.filter((curve) => curve.metric === metric).map(unpack));
    charts.append(chart.card);
    return chart;
  });
  made.append(el("div", { className: "card" }, curveControls(metrics, update), lines), charts, ...curveRemarks(unlogged));
  const watcher = new IntersectionObserver((seen) => {
    for (const one of seen) CHARTS.all.find((chart) => chart.plot === one.target)?.see(one.isIntersecting);
  }, { rootMargin: "400px" });
  CHARTS.all.forEach((chart) => watcher.observe(chart.plot));
  return made;
}

const ON_PAPER = { one: { width: 680, height: 300 }, two: { width: 332, height: 230 } };

/** Draw every chart at the width that it has on paper, and in the colours of the present theme. */
function drawForPaper() {
  CHARTS.paper = CHARTS.all.length === 1 ? ON_PAPER.one : ON_PAPER.two;
  CHARTS.all.forEach((chart) => chart.draw());
}

function drawForScreen() {
  CHARTS.paper = null;
  redraw();
}

/** Draw what is in sight now, and the rest when it comes into sight. */
function redraw() {
  CHARTS.all.forEach((chart) => chart.renew());
}

/**
 * @param {string[]} metrics
 * @param {() => void} update
 */
function curveControls(metrics, update) {
  const told = el("output", {}, "0");
  let waiting = 0;
  const slider = el("input", {
    type: "range", id: "smoothing", min: "0", max: "0.99", step: "0.01", value: "0",
    oninput: () => {
      told.textContent = slider.value;
      // Many curves take a moment to draw, and a slider that is being pulled tells every value on its way.
      clearTimeout(waiting);
      waiting = setTimeout(() => { CHARTS.weight = Number(slider.value); redraw(); }, SLIDER_PAUSE_MS);
    },
  });
  const logSteps = el("input", { type: "checkbox", id: "log-steps", onchange: () => { CHARTS.logSteps = logSteps.checked; redraw(); } });
  const mode = el("select", { id: "mode", onchange: () => { CHARTS.isMeans = mode.value === "means"; CHARTS.hidden = new Set(); update(); } },
    el("option", { value: "each" }, "each experiment"), el("option", { value: "means" }, "means of groups, with bands"));
  mode.value = CHARTS.isMeans ? "means" : "each";
  const find = el("input", {
    type: "search", id: "find-metric", placeholder: "Find a metric", ariaLabel: "Find a metric",
    oninput: () => CHARTS.all.forEach((chart) => { chart.card.hidden = !chart.metric.toLowerCase().includes(find.value.toLowerCase()); }),
  });
  return el("div", { className: "controls" },
    el("label", {}, "Smoothing", slider, told),
    el("label", {}, logSteps, "Log scale of steps"),
    DATA.groups.length > 0 && el("label", {}, "Show", mode),
    metrics.length > 6 && find);
}

/** The series by name; a button hides or shows one. */
function legend() {
  const list = el("ul");
  const count = el("span", { className: "muted small" });
  /** @type {Series[]} */
  let series = [];

  function update() {
    series = seriesOf(CHARTS.isMeans);
    count.textContent = CHARTS.isMeans ? plural(series.length, "line") : plural(series.length, "experiment");
    list.replaceChildren(...series.map((one) => el("li", {}, buttonOf(one))));
    redraw();
  }

  /** @param {Series} one */
  function buttonOf({ key, title, place }) {
    const button = el("button", {
      type: "button", title: `${title}: a click hides or shows it, a double click shows it alone`,
      onclick: () => { if (CHARTS.hidden.has(key)) CHARTS.hidden.delete(key); else CHARTS.hidden.add(key); press(); },
      ondblclick: () => { CHARTS.hidden = new Set(series.map((one) => one.key).filter((other) => other !== key)); press(); },
    }, swatch(place), el("span", {}, title));
    button.dataset.key = key;
    button.setAttribute("aria-pressed", String(!CHARTS.hidden.has(key)));
    return button;
  }

  function press() {
    for (const button of list.querySelectorAll("button")) button.setAttribute("aria-pressed", String(!CHARTS.hidden.has(button.dataset.key ?? "")));
    redraw();
  }

  const all = el("button", { type: "button", className: "quiet", onclick: () => { CHARTS.hidden = new Set(); press(); } }, "Show all");
  const none = el("button", { type: "button", className: "quiet", onclick: () => { CHARTS.hidden = new Set(series.map((one) => one.key)); press(); } }, "Hide all");
  const made = el("div", { className: "legend" }, el("div", { className: "legend-head" }, count, el("span", {}, all, none)), list);
  update();
  return { made, update };
}

/** @param {number} unlogged */
function curveRemarks(unlogged) {
  /** @type {string[]} */
  const remarks = [];
  const thinned = DATA.curves.filter((curve) => curve.shown < curve.logged);
  if (thinned.length) {
    const total = (/** @type {"shown" | "logged"} */ name) => thinned.reduce((sum, curve) => sum + curve[name], 0).toLocaleString("en");
    remarks.push(`${plural(thinned.length, "curve is", "curves are")} thinned to at most ${DATA.limit.toLocaleString("en")} points each: ${total("shown")} of ${total("logged")} points are shown. Of each stretch the smallest and the largest value stay, so that no spike is lost.`);
  }
  if (DATA.groups.length) remarks.push(`${plural(DATA.groups.length, "group")} of experiments that differ in nothing but the seed: the line is their mean at each step, the band reaches from their smallest to their largest value.`);
  if (unlogged) remarks.push(`${plural(unlogged, "experiment")} logged no history.`);
  const running = DATA.experiments.filter((one) => one.status === "running").length;
  if (running) remarks.push(`${plural(running, "experiment was", "experiments were")} still running when this report was made.`);
  return remarks.length ? [el("ul", { className: "remarks" }, remarks.map((remark) => el("li", {}, remark)))] : [];
}

/**
 * @param {string} metric
 * @param {() => Curve[]} curves
 * @param {() => Curve[]} means
 * @returns {Chart}
 */
function makeChart(metric, curves, means) {
  const plot = el("div", { className: "plot waiting", role: "group" }, "Drawing …");
  const remark = el("p", { className: "muted small" });
  const log = el("button", { type: "button", ariaPressed: "false", title: "Logarithmic scale of the values", onclick: () => { log.setAttribute("aria-pressed", String(!isLog())); draw(); } }, "log");
  const card = el("article", { className: "card chart", ariaLabel: `Chart of ${metric}` }, el("div", { className: "chart-head" }, el("h3", {}, metric), log), plot, remark);
  card.dataset.metric = metric;
  const isLog = () => log.getAttribute("aria-pressed") === "true";
  /** @type {ChartData | null} */
  let data = null;
  let isSeen = false;
  let isStale = true;

  const see = (/** @type {boolean} */ isIntersecting) => {
    isSeen = isIntersecting;
    if (isSeen && isStale) draw();
  };
  const renew = () => {
    isStale = true;
    if (isSeen) draw();
  };

  async function draw() {
    isStale = false;
    try {
      // Without waiting where it is there already: a page that is about to be printed cannot wait.
      const plotly = window.Plotly ?? (await loadPlotly());
      data ??= { curves: curves(), means: means() };
      if (plot.classList.contains("waiting")) plot.replaceChildren();
      const series = seriesShown(data);
      const isCrowded = series.length >= CLOSEST_FROM;
      const traces = series.flatMap((one) => tracesOf(one, isCrowded));
      const drawn = plotly.react(plot, traces, layoutOf(metric, isLog(), isCrowded, rangeOf(traces, isLog())), { ...PLOT_OPTIONS, toImageButtonOptions: { filename: metric.replace(/[^\w.-]+/g, "_") } });
      plot.classList.remove("waiting");
      plot.setAttribute("aria-label", `${metric} over steps, ${plural(series.length, "line")}`);
      remark.textContent = gapsText(data.curves, isLog());
      await drawn;
    } catch (error) {
      plot.classList.add("waiting");
      plot.textContent = `No chart: ${messageOf(error)}`;
    }
  }
  return { metric, card, plot, draw, see, renew };
}

/** @param {ChartData} data */
function seriesShown({ curves, means }) {
  /** @type {Map<string, Curve>} */
  const curveOf = new Map();
  for (const mean of means) curveOf.set(`mean ${mean.owner}`, mean);
  for (const curve of curves) curveOf.set(`one ${curve.owner}`, curve);
  return seriesOf(CHARTS.isMeans).flatMap((series) => {
    const curve = CHARTS.hidden.has(series.key) ? undefined : curveOf.get(series.key);
    return curve ? [{ ...series, curve }] : [];
  });
}

/**
 * @param {DrawnSeries} line
 * @param {boolean} isCrowded
 * @returns {Trace[]}
 */
function tracesOf({ curve, title, place }, isCrowded) {
  const colour = colourOf(place);
  const line = { color: colour, width: 1.8, dash: DASHES[dashOf(place)] };
  const look = { type: "scatter", x: curve.x, name: plainText(title), line, ...pointsOf(curve.y, colour) };
  const main = { ...look, y: smoothed(curve.y, CHARTS.weight), hovertemplate: hoverText(isCrowded) };
  if (curve.low && curve.high) {
    const edge = { ...look, mode: "lines", line: { width: 0, color: colour }, hoverinfo: "skip" };
    return [
      { ...edge, y: smoothed(curve.low, CHARTS.weight) },
      { ...edge, y: smoothed(curve.high, CHARTS.weight), fill: "tonexty", fillcolor: faded(colour, 0.18) },
      main,
    ];
  }
  if (CHARTS.weight === 0) return [main];
  return [{ ...look, y: curve.y, line: { ...line, width: 1, dash: "solid" }, opacity: 0.28, hoverinfo: "skip" }, main];
}

/**
 * A line shows nothing of a value that has gaps on both sides, or is the only one: such values are points.
 * @param {Float64Array} values
 * @param {string} colour
 */
function pointsOf(values, colour) {
  const isLone = (/** @type {number} */ at) => Number.isFinite(values[at]) && !Number.isFinite(values[at - 1]) && !Number.isFinite(values[at + 1]);
  const sizes = Array.from(values, (_, at) => (isLone(at) ? 6 : 0));
  return sizes.some(Boolean) ? { mode: "lines+markers", marker: { color: colour, size: sizes } } : { mode: "lines" };
}

/**
 * The text at the pointer; the step is the heading where all lines tell their values at once.
 * @param {boolean} isCrowded
 */
function hoverText(isCrowded) {
  return `${isCrowded ? "step %{x:,~r}<br>" : ""}${CHARTS.weight ? "smoothed " : ""}%{y:.5~g}<extra>%{fullData.name}</extra>`;
}

/**
 * The range of the values where they are all the same, in proportion to them; elsewhere, and around 0, Plotly's own is right.
 * @param {Trace[]} traces
 * @param {boolean} isLog
 */
function rangeOf(traces, isLog) {
  let [low, high] = [Infinity, -Infinity];
  for (const { y } of traces) {
    for (const value of y ?? []) {
      if (!Number.isFinite(value) || (isLog && value <= 0)) continue;
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
  }
  // What has been smoothed differs in the last digits.
  if (!Number.isFinite(high) || high === 0 || high - low > 1e-12 * Math.abs(high)) return undefined;
  const ends = [high - 0.1 * Math.abs(high), high + 0.1 * Math.abs(high)];
  return isLog ? ends.map(Math.log10) : ends;
}

/**
 * @param {string} metric
 * @param {boolean} isLog
 * @param {boolean} isCrowded
 * @param {number[] | undefined} range
 */
function layoutOf(metric, isLog, isCrowded, range) {
  const look = chartLook();
  const axis = { gridcolor: look.grid, zerolinecolor: look.line, linecolor: look.line, tickfont: { color: look.muted }, automargin: true };
  return {
    autosize: !CHARTS.paper, ...CHARTS.paper, margin: { l: 48, r: 10, t: 26, b: 38 }, paper_bgcolor: "rgba(0, 0, 0, 0)", plot_bgcolor: "rgba(0, 0, 0, 0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: look.text }, showlegend: false, uirevision: "zoom",
    hovermode: isCrowded ? "closest" : "x unified", hoverlabel: { bgcolor: look.card, bordercolor: look.line, font: { color: look.text, size: 12 }, namelength: 40, align: "left" },
    // A finger on a chart is to move the page.
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
    modebar: { bgcolor: "rgba(0, 0, 0, 0)", color: look.muted, activecolor: look.text },
    xaxis: { ...axis, type: CHARTS.logSteps ? "log" : "linear", title: { text: "step", font: { color: look.muted, size: 11 }, standoff: 6 }, hoverformat: ",~r" },
    yaxis: { ...axis, type: isLog ? "log" : "linear", exponentformat: "power", ...(range && { range }) },
  };
}

/**
 * @param {Curve[]} curves
 * @param {boolean} isLog
 */
function gapsText(curves, isLog) {
  /** @type {string[]} */
  const parts = [];
  const told = (/** @type {number} */ count, /** @type {string} */ which) => `${plural(count, "value")} ${which}`;
  const gaps = curves.reduce((sum, curve) => sum + curve.gaps, 0);
  if (gaps) parts.push(`${told(gaps, `${gaps === 1 ? "is" : "are"} NaN or infinite and ${gaps === 1 ? "leaves a gap" : "leave gaps"}`)} (${curves.filter((curve) => curve.gaps).map((curve) => TITLES[curve.owner]).slice(0, 5).join(", ")})`);
  const leftOut = curves.reduce((sum, curve) => sum + curve.left_out, 0);
  if (leftOut) parts.push(told(leftOut, `${leftOut === 1 ? "is" : "are"} no number and left out`));
  const low = isLog ? curves.reduce((sum, curve) => sum + curve.y.filter((value) => value <= 0).length, 0) : 0;
  if (low) parts.push(told(low, "≤ 0 cannot be on a log scale"));
  return parts.length ? `${parts.join("; ")}.` : "";
}
