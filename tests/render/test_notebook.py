"""What notebooks show: well-formed HTML in which everything that is the user's stays text."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from runbook import ExperimentList, display
from runbook.render import notebook

HOSTILE = [
    "<script>alert(1)</script>",
    "</td></tr></table><h1>",
    "<img src=x onerror=alert(1)>",
    "\"><b>'",
    "&lt;b&gt; &amp;",
    "<!-- ",
    "]]><![CDATA[",
    "$\\href{javascript:alert(1)}{x}$",
    "javascript:alert(1)",
    "\x1b[2J\x00\u202e",
    "\ud800",
]
ALLOWED = {"div", "table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td", "strong"}


class Reader(HTMLParser):
    """A browser's view of a table: which elements there are, and what text is in its cells."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.elements, self.rows, self.caption, self.classes = [], set(), [], "", []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert tag in ALLOWED
        assert {name for name, _ in attrs} <= {"class", "scope", "colspan"}
        self.classes += [value for name, value in attrs if name == "class"]
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in {"td", "th"}:
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "td" in self.open or "th" in self.open:
            self.rows[-1][-1] += data
        elif "caption" in self.open:
            self.caption += data
        else:
            assert data.isspace()

    def handle_comment(self, data):
        raise AssertionError(data)

    handle_decl = handle_pi = unknown_decl = handle_comment


def shown(text):
    """As the table shows it: characters that control something as escapes."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def test_a_manager_shows_its_newest_experiments_and_counts_all(manager):
    """Twenty of them, with the metrics that most have."""
    for number in range(22):
        with manager.experiment({"lr": 0.1}, name=f"run-{number}") as exp:
            exp.save_final_metrics({"f1": number / 100})
    with pytest.raises(ValueError, match="no"), manager.experiment({"lr": 0.1}, name="bad"):
        raise ValueError("no")
    table = Reader(manager._repr_html_())
    assert table.caption == f"23 experiments in {manager.base_dir}: 22 completed, 1 failed"
    assert table.rows[0] == ["experiment", "name", "status", "started (UTC)", "duration", "f1"]
    assert [row[1] for row in table.rows[1:]] == ["bad", *(f"run-{number}" for number in range(21, 2, -1))]
    assert table.rows[1][2] == "failed (exception)"
    assert table.rows[2][5] == "0.21"
    assert "runbook-failed" in table.classes


def test_an_empty_base_directory_says_so(manager):
    """In a table without rows."""
    table = Reader(manager._repr_html_())
    assert table.caption == f"No experiments in {manager.base_dir}."
    assert len(table.rows) == 1


def test_a_list_shows_its_beginning_and_how_much_there_is():
    """A notebook is no place for a hundred thousand rows."""
    entries = ExperimentList({"experiment_id": f"e{number}", "metrics": {f"m{number % 9}": 1}} for number in range(250))
    table = Reader(entries._repr_html_())
    assert table.caption == "250 experiments"
    assert [row[0] for row in table.rows[1:101]] == [f"e{number}" for number in range(100)]
    assert [row[0] for row in table.rows[101:]] == ["and 150 more", "3 more metrics: to_dataframe() has them all"]
    assert Reader(entries[:1]._repr_html_()).caption == "1 experiment"


def test_a_record_shows_what_is_known_about_it(manager):
    """The config, the metrics, the notes and the failure, one a row."""
    with (
        pytest.raises(ValueError, match="boom"),
        manager.experiment(
            {"optim": {"lr": 0.1}, "layers": [1, 2]}, name="base", description="a test", tags=["a", "b"]
        ) as exp,
    ):
        exp.note("first")
        exp.note("second")
        exp.log(loss=float("nan"))
        running = Reader(exp._repr_html_())
        raise ValueError("boom\nand more")
    table = Reader(manager.get_experiment("base")._repr_html_())
    assert table.caption == running.caption == exp.id
    facts = [tuple(row) for row in table.rows[1:]]
    for fact in (
        ("name", "base"),
        ("description", "a test"),
        ("status", "failed (exception)"),
        ("tags", "a, b"),
        ("note", "first"),
        ("note", "second"),
        ("failure", "ValueError: boom …"),
        ("metrics.loss", "NaN"),
        ("config.optim.lr", "0.1"),
        ("config.layers", "[1, 2]"),
    ):
        assert fact in facts
    assert {"started", "ended", "duration", "host"} <= {name for name, _ in facts}
    assert ["status", "running"] in running.rows
    assert not {"ended", "failure", "parent"} & {name for name, *_ in running.rows}


def test_a_record_of_many_settings_shows_its_beginning(manager):
    """A note has the number of the others."""
    with manager.experiment({f"key{number}": number for number in range(500)}) as exp:
        rows = Reader(exp._repr_html_()).rows
    assert len(rows) == 202
    assert rows[-1][0].startswith("and 30")


@pytest.mark.parametrize("text", HOSTILE, ids=repr)
def test_what_is_the_users_stays_text(manager, text):
    """Nothing in a name, a setting, a metric, a note or an error opens an element or closes one."""
    with (
        pytest.raises(ValueError),
        manager.experiment(  # noqa: PT011
            {text: text, "inner": {text: [text]}}, name=text, description=text, tags=[text]
        ) as exp,
    ):
        exp.save_final_metrics({text: 1, "x": {text: 2}})
        exp.note(text)
        raise ValueError(text)
    view = manager.get_experiment(exp.id)
    table = Reader(view._repr_html_())
    rows = [tuple(row) for row in table.rows]
    assert ("name", shown(exp.name)) in rows
    # What has no place in a file of ours was replaced when it was recorded.
    recorded = view.config["inner"]
    key = next(iter(recorded))
    assert (f"config.inner.{shown(key)}", display.one_line(recorded[key])) in rows
    for html in (manager._repr_html_(), manager.find()._repr_html_()):
        table = Reader(html)
        assert shown(exp.name) in table.rows[1]


def test_formulas_are_not_set():
    """A notebook typesets the text between dollar signs as a formula, unless a class around it forbids that."""
    html = notebook.experiments_html([{"experiment_id": "$x$"}])
    assert html.startswith('<div class="tex2jax_ignore mathjax_ignore">')


def test_an_entry_of_any_shape_has_a_row():
    """Also one that another program wrote into the registry."""
    fields = ["experiment_id", "timestamp", "completed_at", "status", "custom_name", "config", "metrics", "end_reason"]
    values = [None, 3, "text", [], [1], {}, [{"a": 1}], True, "\x00", 10**400]
    entries = ExperimentList(dict.fromkeys(fields, value) for value in values)
    assert len(Reader(entries._repr_html_()).rows) == 1 + len(values)


def test_ipython_shows_the_tables(manager):
    """By the formatter that a notebook's kernel uses."""
    formatters = pytest.importorskip("IPython.core.formatters")
    with manager.experiment({"lr": 0.1}, name="base") as exp:
        formatter = formatters.DisplayFormatter()
        for thing in (manager, manager.find(), manager.list_experiments(), manager.get_experiment("base"), exp):
            data, _ = formatter.format(thing)
            assert Reader(data["text/html"]).rows
            assert "text/plain" in data
