"""Reports in a real browser: headless Chromium opens them from disk."""

from __future__ import annotations

import base64
import json
import math
import os
import shutil
import time
from datetime import timedelta

import pytest

from runbook import ExperimentManager

pytest.importorskip("plotly")
webdriver = pytest.importorskip("selenium.webdriver", reason="selenium drives the browser")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no chromium and chromedriver on this machine")

FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --window-size=1280,900"
)
PWN = "</script><script>window.pwned=1</script><img src=x onerror='window.pwned=1'><b onclick=x>&amp;&lt;"
PATIENCE_S = 30


class Page:
    """A report in the browser."""

    def __init__(self, driver) -> None:
        self.driver = driver

    def open(self, path, width=1280, *, dark=False) -> None:
        """Load a file, without the console messages of earlier pages."""
        for log in ("browser", "performance"):
            self.driver.get_log(log)
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.cdp("Emulation.setEmulatedMedia", {"media": "", "features": features})
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.cdp("Emulation.setDeviceMetricsOverride", metrics)
        self.driver.get(path.as_uri())

    def cdp(self, command, parameters):
        return self.driver.execute_cdp_cmd(command, parameters)

    def js(self, code, *args):
        return self.driver.execute_script(f"return {code}", *args)

    def wait(self, code, *args):
        """Wait until an expression is true."""
        deadline = time.monotonic() + PATIENCE_S
        while not (value := self.js(code, *args)):
            assert time.monotonic() < deadline, f"never true: {code}"
            time.sleep(0.05)
        return value

    def click(self, selector, nth=0) -> None:
        element = self.driver.find_elements("css selector", selector)[nth]
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()

    def draw(self) -> None:
        """Scroll to every chart, and wait until it is drawn."""
        for at in range(self.js("document.querySelectorAll('.chart').length")):
            self.js("document.querySelectorAll('.plot')[arguments[0]].scrollIntoView()", at)
            self.wait("document.querySelectorAll('.plot')[arguments[0]].data?.length >= 0", at)

    def names(self) -> list[str]:
        return self.js("[...document.querySelectorAll('#experiments td.name')].map((cell) => cell.innerText.trim())")

    def range_of(self, axis="xaxis", nth=0) -> list[float]:
        return self.js(f"document.querySelectorAll('.plot')[{nth}]._fullLayout.{axis}.range.map(Number)")

    def traces(self, nth=0) -> list[dict]:
        code = (
            "document.querySelectorAll('.plot')[arguments[0]].data.map((trace) => ({name: trace.name, y: [...trace.y], "
            "color: trace.line.color, dash: trace.line.dash, opacity: trace.opacity ?? 1, fill: trace.fill ?? null}))"
        )
        return self.js(code, nth)

    def problems(self) -> list[str]:
        """The messages of the console, and every requested address except the file itself."""
        console = [entry["message"] for entry in self.driver.get_log("browser")]
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        asked = [one["params"]["request"]["url"] for one in messages if one["method"] == "Network.requestWillBeSent"]
        return console + [url for url in asked if not url.startswith(("file:", "data:", "blob:"))]


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    """One browser, with a profile of its own."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(executable_path=DRIVER, log_output=os.devnull)
    driver = webdriver.Chrome(options=options, service=service)
    driver.set_page_load_timeout(timedelta(seconds=60).total_seconds())
    driver.get("data:,")
    yield driver
    driver.quit()


@pytest.fixture
def page(driver):
    """A page; after the test it has no console message and has requested no address."""
    page = Page(driver)
    yield page
    assert page.problems() == []
    assert page.js("window.pwned === undefined")


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """Reports that several tests look at, by their names."""
    folder = tmp_path_factory.mktemp("reports")
    manager = ExperimentManager(folder / "experiments")
    for number in range(6):
        config = {"lr": [0.1, 0.01, 0.001][number // 2], "seed": number % 2, "model": "bert"}
        with manager.experiment(config, name=f"run {number // 2}", tags=["sweep"]) as exp:
            for step in range(100):
                exp.log(
                    loss=math.exp(-step / 30) + number / 50 + (step % 10 == 3) * 0.2,
                    accuracy=step / 100,
                    step=step * 10,
                )
            exp.save_final_metrics({"f1": 0.5 + number / 20})
    with pytest.raises(ValueError, match="broke"), manager.experiment({"lr": 1, "seed": 0}, name="broken"):
        raise ValueError("it broke")
    with manager.experiment({"lr": 9, "seed": 0}, name="still going") as exp:
        exp.log(loss=1, step=0)
        manager.report(folder / "all.html")
        manager.report(folder / "one.html", ["run 2"])
    ExperimentManager(folder / "nothing").report(folder / "empty.html")
    return folder


def test_a_report_opens_from_disk_and_draws_every_metric(page, reports):
    """Each metric has a chart with lines; the console is empty and no address is requested."""
    page.open(reports / "all.html")
    page.draw()
    assert page.js("[...document.querySelectorAll('.chart h3')].map((title) => title.innerText)") == [
        "loss",
        "accuracy",
    ]
    assert page.js("document.querySelectorAll('.chart')[0].querySelectorAll('.scatterlayer .trace').length") >= 6
    assert page.js("document.body.innerText.includes('it broke')")
    assert page.js("document.querySelectorAll('h1').length") == 1


def test_a_heading_sorts_and_says_so(page, reports):
    """Numbers by size, both ways, what is missing last; by the keyboard as well."""
    page.open(reports / "all.html")
    headings = page.js(
        "[...document.querySelectorAll('#experiments thead tr:last-child th')].map((one) => one.innerText.trim())"
    )
    at = headings.index("f1")
    page.click("#experiments thead tr:last-child th button", at)
    assert page.names()[:2] == ["run 2", "run 2"]
    assert set(page.names()[-2:]) == {"broken", "still going"}
    heading = "document.querySelectorAll('#experiments thead tr:last-child th')[arguments[0]]"
    assert page.js(f"{heading}.getAttribute('aria-sort')", at) == "descending"
    page.driver.switch_to.active_element.send_keys("\n")
    assert page.js(f"{heading}.getAttribute('aria-sort')", at) == "ascending"
    assert page.names()[:2] == ["run 0", "run 0"]
    assert set(page.names()[-2:]) == {"broken", "still going"}
    assert page.js("document.querySelectorAll('th[aria-sort=ascending], th[aria-sort=descending]').length") == 1


def test_words_and_statuses_filter_the_table(page, reports):
    """All words must fit; a setting is a word; statuses add up; the count follows."""
    page.open(reports / "all.html")
    field = page.driver.find_element("id", "filter")
    field.send_keys("SWEEP lr=0.01")
    assert page.names() == ["run 1", "run 1"]
    assert "2 of 8" in page.js("document.querySelector('#experiments [role=status]').innerText")
    field.clear()
    field.send_keys("nothing like it")
    assert "No experiment fits" in page.js("document.querySelector('#experiments tbody').innerText")
    for _ in range(len("nothing like it")):
        field.send_keys("\b")
    page.click("[data-status=failed]")
    assert page.names() == ["broken"]
    page.click("[data-status=running]")
    assert page.names() == ["still going", "broken"]
    page.click("[data-status=failed]")
    page.click("[data-status=running]")
    assert len(page.names()) == 8


def test_dragging_zooms_and_a_double_click_zooms_out(page, reports):
    """A zoom stays while the smoothing changes."""
    page.open(reports / "all.html")
    page.draw()
    before = page.range_of()
    drag = page.driver.find_elements("css selector", ".plot .nsewdrag")[0]
    page.js("arguments[0].scrollIntoView({block: 'center'})", drag)
    actions = webdriver.ActionChains(page.driver)
    actions.move_to_element_with_offset(drag, -100, 0).click_and_hold().move_by_offset(60, 0).move_by_offset(
        60, 1
    ).release().perform()
    page.wait("document.querySelectorAll('.plot')[0]._fullLayout.xaxis.range[1] < arguments[0]", before[1] - 100)
    zoomed = page.range_of()
    assert before[0] < zoomed[0] < zoomed[1] < before[1]
    page.js(
        "(document.getElementById('smoothing').value = 0.5, document.getElementById('smoothing').dispatchEvent(new Event('input')))"
    )
    assert page.range_of() == zoomed
    webdriver.ActionChains(page.driver).move_to_element(drag).double_click().perform()
    page.wait("document.querySelectorAll('.plot')[0]._fullLayout.xaxis.range[1] > arguments[0]", before[1] - 20)


def test_hovering_tells_the_values(page, reports):
    """The experiments are named, with their values at the step."""
    page.open(reports / "all.html")
    page.draw()
    drag = page.driver.find_elements("css selector", ".plot .nsewdrag")[0]
    page.js("arguments[0].scrollIntoView({block: 'center'})", drag)
    webdriver.ActionChains(page.driver).move_to_element(drag).perform()
    text = page.wait("document.querySelector('.plot .hoverlayer').textContent")
    assert "run 0" in text


def test_the_values_can_be_on_a_log_scale(page, reports):
    """The button says whether it is on, each chart for itself; the steps have a switch for all."""
    page.open(reports / "all.html")
    page.draw()
    page.click(".chart-head button")
    kinds = "[...document.querySelectorAll('.plot')].map((plot) => [plot._fullLayout.xaxis.type, plot._fullLayout.yaxis.type])"
    assert page.js(kinds) == [["linear", "log"], ["linear", "linear"]]
    assert page.js("document.querySelector('.chart-head button').getAttribute('aria-pressed')") == "true"
    page.click("#log-steps")
    assert page.js(kinds) == [["log", "log"], ["log", "linear"]]
    page.click(".chart-head button", 1)
    assert "≤ 0 cannot be on a log scale" in page.js("document.querySelectorAll('.chart')[1].innerText")


def test_smoothing_is_an_exponential_average_over_the_faint_raw_curve(page, reports):
    """The average is corrected for its start, as in the page's own words; the raw values stay in sight."""
    page.open(reports / "all.html")
    page.draw()
    (raw, *_) = page.traces()
    page.js(
        "(document.getElementById('smoothing').value = 0.6, document.getElementById('smoothing').dispatchEvent(new Event('input')))"
    )
    page.wait("document.querySelectorAll('.plot')[0].data.length > arguments[0]", 8)
    faint, smooth, *_ = page.traces()
    assert faint["y"] == raw["y"]
    assert faint["opacity"] < 0.5
    average, expected = 0.0, []
    for count, value in enumerate(raw["y"], start=1):
        average = 0.6 * average + 0.4 * value
        expected.append(average / (1 - 0.6**count))
    assert smooth["y"] == pytest.approx(expected, rel=1e-6)


def test_every_experiment_has_a_look_of_its_own_and_can_be_hidden(page, reports):
    """No two share colour and dash; a click hides, a double click leaves one alone."""
    page.open(reports / "all.html")
    page.draw()
    looks = [(trace["color"], trace["dash"]) for trace in page.traces()]
    assert len(looks) == len(set(looks)) == 7
    page.click(".legend li button")
    assert len(page.traces()) == 6
    assert page.js("document.querySelector('.legend li button').getAttribute('aria-pressed')") == "false"
    second = page.driver.find_elements("css selector", ".legend li button")[1]
    webdriver.ActionChains(page.driver).double_click(second).perform()
    page.wait("document.querySelectorAll('.plot')[0].data.length === 1")
    page.click(".legend-head button")
    assert len(page.traces()) == 7


def test_groups_have_means_and_bands(page, reports):
    """Seeds of one config become a line with a band; what is in no group stays a line."""
    page.open(reports / "all.html")
    page.draw()
    page.js(
        "(document.getElementById('mode').value = 'means', document.getElementById('mode').dispatchEvent(new Event('change')))"
    )
    traces = page.traces()
    assert [trace["fill"] for trace in traces].count("tonexty") == 3
    low, high, mean = traces[:3]
    assert all(bottom <= middle <= top for bottom, middle, top in zip(low["y"], mean["y"], high["y"], strict=True))
    assert "mean of 2" in mean["name"]
    assert "still going" in traces[-1]["name"]
    assert "from their smallest to their largest" in page.js("document.getElementById('curves').innerText")


def test_dark_and_light_follow_the_system_and_the_button(page, reports):
    """Text and ground differ enough in both, and the charts change with the page."""
    page.open(reports / "all.html", dark=True)
    page.draw()
    ground = "getComputedStyle(document.body).backgroundColor"
    ink = "document.querySelectorAll('.plot')[0]._fullLayout.font.color"
    assert (page.js(ground), page.js(ink)) == ("rgb(15, 19, 24)", "#e8ecf1")
    page.click("#theme")
    assert (page.js(ground), page.js(ink)) == ("rgb(246, 247, 249)", "#1b2027")
    page.click("#theme")
    assert page.js(ground) == "rgb(15, 19, 24)"
    page.open(reports / "all.html")
    assert page.js(ground) == "rgb(246, 247, 249)"


CONTRAST = """
(() => {
  const channel = (value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
  const light = (rgb) => 0.2126 * channel(rgb[0]) + 0.7152 * channel(rgb[1]) + 0.0722 * channel(rgb[2]);
  const parse = (text) => (text.startsWith("#") ? [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16)) : text.match(/[0-9.]+/g).map(Number));
  const ratio = (one, other) => { const [low, high] = [light(parse(one)), light(parse(other))].sort((a, b) => a - b); return (high + 0.05) / (low + 0.05); };
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(name).trim();
  return {
    texts: [["--text", "--page"], ["--muted", "--page"], ["--muted", "--card"], ["--accent", "--card"], ["--good", "--good-back"], ["--bad", "--bad-back"],
      ["--warn", "--warn-back"], ["--live", "--live-back"], ["--dim", "--dim-back"], ["--text", "--warn-back"], ["--muted", "--raised"]].map(([ink, ground]) => [ink, ground, ratio(of(ink), of(ground))]),
    lines: of("--series").split(/\\s+/).map((colour) => [colour, ratio(colour, of("--card"))]),
  };
})()
"""


@pytest.mark.parametrize("dark", [False, True])
def test_colours_have_the_contrast_that_reading_needs(page, reports, dark):
    """Texts 4.5 to 1, lines 3 to 1, as WCAG 2.2 asks in 1.4.3 and 1.4.11."""
    page.open(reports / "all.html", dark=dark)
    ratios = page.js(CONTRAST.strip())
    assert [row for row in ratios["texts"] if row[2] < 4.5] == []
    assert [row for row in ratios["lines"] if row[1] < 3] == []
    assert len({colour for colour, _ in ratios["lines"]}) == 9


@pytest.mark.parametrize("name", ["all", "one", "empty"])
def test_a_phone_does_not_scroll_sideways(page, reports, name):
    """At 390 pixels the page is as wide as the phone; the tables scroll inside."""
    page.open(reports / f"{name}.html", width=390)
    page.draw()
    page.js("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert page.wait("document.documentElement.scrollWidth") <= 390
    assert page.js(
        "[...document.querySelectorAll('.plot .main-svg')].every((svg) => svg.getBoundingClientRect().width <= 390)"
    )


def test_printing_shows_everything_and_leaves_the_page_as_it_was(page, reports):
    """Sections are open, charts drawn and light, controls gone; afterwards nothing has changed."""
    page.open(reports / "all.html", dark=True)
    page.wait("window.Plotly !== undefined")
    page.js("window.dispatchEvent(new Event('beforeprint'))")
    page.cdp(
        "Emulation.setEmulatedMedia",
        {"media": "print", "features": [{"name": "prefers-color-scheme", "value": "dark"}]},
    )
    page.wait("[...document.querySelectorAll('.plot')].every((plot) => plot.querySelector('.scatterlayer .trace'))")
    assert page.js("document.querySelectorAll('details:not([open])').length") == 0
    assert page.js(
        "[...document.querySelectorAll('.tools, .controls, .pager, .top')].every((one) => getComputedStyle(one).display === 'none')"
    )
    assert page.js("document.querySelectorAll('.plot')[0]._fullLayout.font.color") == "#1b2027"
    assert page.js(
        "[...document.querySelectorAll('.plot')].every((plot) => plot.querySelector('.main-svg').clientWidth <= 690)"
    )
    page.cdp(
        "Emulation.setEmulatedMedia", {"media": "", "features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    )
    page.js("window.dispatchEvent(new Event('afterprint'))")
    assert page.js("document.querySelectorAll('details.experiment[open]').length") == 0
    assert page.js("getComputedStyle(document.body).backgroundColor") == "rgb(15, 19, 24)"


def test_a_report_becomes_a_document_of_several_pages(page, reports):
    """The browser prints it."""
    page.open(reports / "all.html")
    page.wait("window.Plotly !== undefined")
    document = base64.b64decode(page.cdp("Page.printToPDF", {"printBackground": False})["data"])
    assert document.startswith(b"%PDF")
    assert document.count(b"/Type /Page\n") >= 2


def test_a_name_in_the_table_opens_the_details(page, reports):
    """Config, environment and state are one click away."""
    page.open(reports / "all.html")
    page.click("#experiments td.name a")
    details = page.wait("document.querySelector('details.experiment[open]')?.innerText")
    assert "still going" in details
    assert "running at the time of the report" in details
    assert "Config" in details.title()


def test_a_single_experiment_has_its_own_page(page, reports):
    """Its name is the heading; there is no table of one line."""
    page.open(reports / "one.html")
    page.draw()
    assert page.js("document.querySelector('h1').innerText") == "run 2"
    assert page.js("document.querySelector('#experiments')") is None
    assert page.js("document.querySelector('details.experiment').open")


def test_an_empty_base_directory_says_so(page, reports):
    """No table of nothing, no script error."""
    page.open(reports / "empty.html")
    assert "There are no experiments." in page.js("document.body.innerText")


def test_hostile_texts_stay_texts(page, manager, tmp_path):
    """No text of an experiment runs as code, wherever the page shows it."""
    graph_objects = pytest.importorskip("plotly.graph_objects")
    for seed in range(2):
        with manager.experiment({PWN: PWN, "seed": seed, "%{x}": "%{y}"}, name=PWN, description=PWN, tags=[PWN]) as exp:
            for step in range(3):
                exp.log({PWN: step, "%{fullData.name}": 1}, step=step)
            exp.note(PWN)
            exp.save_final_metrics({PWN: 1})
            link = f"<a href='javascript:window.pwned=1'>click</a>{PWN}"
            figure = graph_objects.Figure(
                graph_objects.Scatter(y=[1, 2], name=PWN, text=[link] * 2, mode="markers+text")
            )
            figure.update_layout(title=link, annotations=[{"text": link, "x": 0, "y": 1}])
            figure.add_layout_image(source="https://example.invalid/x.png")
            exp.save_figure(figure, "evil")
            evil = "<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9' onload='window.pwned=1'><script>parent.pwned=1</script></svg>"
            exp.save_artifact(evil.encode(), f"evil{seed}.svg")
    with pytest.raises(ValueError, match="pwned"), manager.experiment({"seed": 5}, name=PWN):
        raise ValueError(PWN)
    page.open(manager.report(tmp_path / "report.html"))
    page.draw()
    page.js("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    page.wait("document.querySelectorAll('.paper .main-svg').length >= 2")
    drag = page.driver.find_elements("css selector", ".chart .nsewdrag")[0]
    page.js("arguments[0].scrollIntoView({block: 'center'})", drag)
    webdriver.ActionChains(page.driver).move_to_element(drag).perform()
    assert PWN[:20] in page.wait("document.querySelector('.chart .hoverlayer').textContent")
    page.js(
        "document.querySelectorAll('.paper a').forEach((one) => one.dispatchEvent(new MouseEvent('click', {bubbles: true})))"
    )
    page.js(
        "(document.getElementById('filter').value = 'pwned', document.getElementById('filter').dispatchEvent(new Event('input')))"
    )
    assert (
        page.js(
            "document.querySelectorAll('main script, main iframe, main [onclick], main [onerror], main img[src=x]').length"
        )
        == 0
    )
    assert page.js(
        "[...document.querySelectorAll('h3, td, dd, p, pre')].some((one) => one.textContent.includes('<script>window.pwned'))"
    )


def test_figures_and_images_are_shown(page, manager, tmp_path):
    """Images from the file itself, plotly figures live, those for WebGL without it, and maps with a word."""
    graph_objects = pytest.importorskip("plotly.graph_objects")
    matplotlib_figure = pytest.importorskip("matplotlib.figure")
    with manager.experiment({"lr": 1}, name="pictures") as exp:
        drawn = matplotlib_figure.Figure()
        drawn.subplots().plot([1, 2])
        exp.save_figure(drawn, "curve")
        exp.save_figure(graph_objects.Figure(graph_objects.Heatmap(z=[[1, 2], [3, 4]])), "heat")
        exp.save_figure(graph_objects.Figure(graph_objects.Scattergl(y=[1, 2, 3], mode="markers")), "many")
        exp.save_figure(graph_objects.Figure(graph_objects.Scattergeo(lon=[1], lat=[2])), "map")
    page.open(manager.report(tmp_path / "report.html"))
    page.wait("document.querySelectorAll('.paper .main-svg').length >= 2")
    page.js("document.querySelector('.pictures img').scrollIntoView()")
    page.wait("[...document.querySelectorAll('.pictures img')].every((one) => one.complete && one.naturalWidth > 100)")
    assert page.js("[...document.querySelectorAll('.paper.js-plotly-plot')].map((one) => one.data[0].type)") == [
        "heatmap",
        "scatter",
    ]
    assert "scattergeo" in page.js("document.querySelector('.pictures').innerText")


def test_nothing_can_be_sent_from_a_chart(page, reports):
    """Plotly's button that sends data to its makers is not there."""
    page.open(reports / "all.html")
    page.draw()
    titles = page.js("[...document.querySelectorAll('.modebar-btn')].map((one) => one.dataset.title)")
    assert "Zoom" in titles
    assert not [
        title for title in titles if "cloud" in title.lower() or "share" in title.lower() or "edit" in title.lower()
    ]


def test_the_policy_forbids_the_network_and_foreign_scripts(driver, reports):
    """Even code that ran in the page could neither load nor send anything."""
    page = Page(driver)
    page.open(reports / "one.html")
    page.js(
        "(window.said = [], addEventListener('securitypolicyviolation', (event) => said.push(event.effectiveDirective)))"
    )
    page.driver.execute_script(
        "fetch('https://example.invalid/').catch(() => null); new Image().src = 'https://example.invalid/x.png';"
        "const script = document.createElement('script'); script.textContent = 'window.foreign = 1'; document.head.append(script);"
        "const inline = document.createElement('a'); inline.setAttribute('onclick', 'window.foreign = 1'); document.body.append(inline); inline.click();"
    )
    page.wait("said.length >= 4")
    assert set(page.js("said")) >= {"connect-src", "img-src", "script-src-elem", "script-src-attr"}
    assert page.js("window.foreign === undefined")


def test_values_that_are_not_finite_are_shown(page, manager, tmp_path):
    """Gaps are counted, final values are shown by name, and a point between gaps is a point."""
    with manager.experiment({"lr": 1}, name="odd") as exp:
        for step, value in enumerate([1.0, math.nan, 2.0, math.inf, 3.0]):
            exp.log(loss=value, step=step)
        exp.save_final_metrics({"f1": math.nan})
    page.open(manager.report(tmp_path / "report.html"))
    page.draw()
    assert "2 values are NaN or infinite and leave gaps" in page.js("document.querySelector('.chart').innerText")
    assert "NaN" in page.js("document.querySelector('.tiles').innerText")
    assert page.js("document.querySelectorAll('.chart .point').length") >= 3


def test_settings_that_few_experiments_have_stand_behind_the_metrics(page, manager, tmp_path):
    """Each column has its own values, wherever it stands, and the page says what it left out."""
    for number in range(3):
        own = {f"k{at}": at for at in range(300)} if number == 0 else {"dropout": 0.5}
        with manager.experiment({**own, "lr": number / 8}, name=f"run {number}") as exp:
            exp.save_final_metrics({"f1": number / 4})
    with manager.experiment({"lr": 1, "depth": 2}), manager.experiment({"lr": 2, "depth": 3}):
        page.open(manager.report(tmp_path / "report.html"))
    heads = page.js(
        "[...document.querySelectorAll('#experiments thead tr:last-child th')].map((th) => th.innerText.trim())"
    )
    middle = [head.split()[0] for head in heads[4:-1]]
    assert middle == ["lr", "f1", "dropout", "depth"]
    cells = page.js(
        "[...document.querySelectorAll('#experiments tbody tr')].map((row) => [...row.cells].map((cell) => cell.innerText))"
    )
    assert [row[4] for row in cells][-3:] == ["0.25", "0.125", "0"]
    assert [row[6] for row in cells][-3:-1] == ["0.5", "0.5"]
    assert "3 of 303 settings" in page.js("document.body.innerText")


@pytest.mark.parametrize("value", [1e-3, -0.1, 2e6])
def test_a_constant_has_an_axis_in_proportion_to_it(page, manager, tmp_path, value):
    """A learning rate that never changes is not drawn as if it were 0, smoothed or not, on either scale."""
    with manager.experiment({}) as exp:
        for step in range(20):
            exp.log(lr=value, zero=0, step=step)
    page.open(manager.report(tmp_path / "report.html"))
    page.draw()
    around = pytest.approx(sorted([0.9 * value, 1.1 * value]))
    assert page.range_of("yaxis") == around
    assert page.range_of("yaxis", 1) == [-1, 1]
    page.js("document.querySelector('input[type=range]').value = 0.9")
    page.js("document.querySelector('input[type=range]').dispatchEvent(new Event('input'))")
    page.wait("document.querySelectorAll('.plot')[0].data.length === 2")
    assert page.range_of("yaxis") == around
    page.click(".chart-head button")
    if value > 0:
        assert [10**end for end in page.range_of("yaxis")] == around
    page.click(".chart-head button", 1)
    assert page.js("[...document.querySelectorAll('.plot')].map((plot) => plot._fullLayout.yaxis.type)") == [
        "log",
        "log",
    ]


def test_ten_thousand_experiments_are_a_usable_page(page, base, tmp_path):
    """The table goes page by page; sorting and filtering reach all."""
    base.mkdir()
    entries = [
        {
            "experiment_id": f"20250101_{number // 3600:02}{number // 60 % 60:02}{number % 60:02}_run_{number:08x}",
            "timestamp": f"2025-01-01T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}",
            "status": "completed",
            "custom_name": f"run {number}",
            "config": {"lr": number / 7},
            "metrics": {"f1": number / 10_000},
        }
        for number in range(10_000)
    ]
    for entry in entries:
        (base / entry["experiment_id"]).mkdir()
    (base / "experiment_registry.json").write_text(json.dumps({"experiments": entries}))
    page.open(ExperimentManager(base).report(tmp_path / "report.html"))
    assert len(page.names()) == 25
    assert "1–25 of 10,000" in page.js("document.querySelector('.pager').innerText")
    page.click(".pager button", 1)
    assert page.names()[0] == "run 9974"
    started = time.monotonic()
    page.driver.find_element("id", "filter").send_keys("run f1=0.9876")
    assert page.names() == ["run 9876"]
    assert time.monotonic() - started < 10
    assert "newest 50 of 10,000" in page.js("document.getElementById('summary').innerText")
