"""What README and the guide show of Python and of the command line is what comes out today."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from document_pages import PAGES, README, TOUR, blocks, read

pytestmark = pytest.mark.skipif(
    not (README.exists() and TOUR.exists()), reason="the README and the examples are not beside the tests"
)

RUN = [topic for topic in PAGES if any(blocks(topic, language) for language in ("python", "console", "pycon"))]
BLOCK = re.compile(r"^```(?:console|pycon)\n.*?^```$", re.MULTILINE | re.DOTALL)
# What must differ between two days and two machines; each becomes a text of its own, and all the rest is compared.
MASKS = {
    re.compile(r"\b[0-9]{8}(\\?_)[0-9]{6}(?=\1)"): "<when started>",
    re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:]{5,8}(?:\.[0-9]+)?"): "<time>",
    re.compile(r"\bjust now\b|\b[0-9]+ (?:s|min|h) ago\b"): "<age>",
    re.compile(r"\b[0-9]+\.[0-9] (?:s|min|h)\b"): "<duration>",
    re.compile(r"[0-9.e+]+/s\b"): "<rate>",
    # As wide as the ages and lengths of time in the rows.
    re.compile(r"^(experiment  .*\n)─+$", re.MULTILINE): r"\1<rule>",
    # Of files that hold times, hosts and paths.
    re.compile(r"\b[0-9.]+ (?:B|KiB)$", re.MULTILINE): "<size>",
    re.compile(r"^(  python +).*$", re.MULTILINE): r"\1<version and platform>",
}
MASKED = re.compile(r"<(?:age|duration|rate|size)>|^experiment  ")


def shown(page: str) -> list[str]:
    """The lines of the blocks of a page, but for what must differ."""
    text = "\n".join(BLOCK.findall(page))
    for pattern, mask in MASKS.items():
        text = pattern.sub(mask, text)
    # A column is as wide as what was masked in it.
    return [re.sub(r"(?<=\S) {2,}", "  ", line) if MASKED.search(line) else line for line in text.splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("topic", RUN)
def test_a_page_shows_what_comes_out(topic, tmp_path):
    """Each page runs alone, from its top, in an empty folder; `python examples/tour.py --write` renews all of them."""
    for library in ("fcntl", "matplotlib", "pandas", "plotly", "scipy"):
        pytest.importorskip(library)
    copy = tmp_path / f"{topic}.md"
    copy.write_text(read(topic), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, TOUR, "--write", copy],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [path.name for path in tmp_path.iterdir()] == [copy.name]
    assert shown(copy.read_text(encoding="utf-8")) == shown(read(topic))


@pytest.mark.parametrize(
    ("topic", "found", "instead"),
    [
        ("query", "0.7325", "0.7326"),
        ("query", "_logreg_5185326e", "_logreg_5185326f"),
        ("query", "no experiment has a field", "there is no field"),
        ("query", "(1, 0.74)", "(2, 0.74)"),
        ("endings", "interrupted", "failed"),
        ("cli", "  took  ", "  time  "),
        ("cli", "learning_rate  0.1 there", "learning_rate   0.1 there"),
        ("cli", "40/100", "41/100"),
        ("cli", "$ runbook show @2", "$ runbook show @1"),
        ("compare", "0.019*", "0.019"),
        ("README", "the loss is 1478\n", ""),
    ],
)
def test_a_change_of_what_comes_out_is_noticed(topic, found, instead):
    """A number, a name, a column, a word, a space that aligns, a line, a command: the comparison sees each."""
    first = "\n".join(BLOCK.findall(read(topic)))
    assert found in first
    assert shown(first.replace(found, instead, 1)) != shown(first)


@pytest.mark.parametrize("topic", ["README", "cli", "query"])
def test_only_what_must_differ_is_masked(topic):
    """Another day, another machine and other lengths of time make no difference."""
    page = read(topic)
    other = re.sub(r"\b20[0-9]{6}_[0-9]{6}_", "20990101_235959_", page)
    other = re.sub(r"^(  python +).*$", r"\g<1>3.13.0 on Darwin", other, flags=re.MULTILINE)
    other = other.replace("just now", "12 s ago").replace("0.1 s", "11.1 s").replace("0.0 s", "2.5 min")
    assert other != page
    assert shown(other) == shown(page)


@pytest.mark.parametrize("topic", RUN)
def test_no_session_shows_an_error_of_its_own(topic):
    """Nothing that was typed into Python failed there, and no command leaves the folder for the next one."""
    page = "\n".join(BLOCK.findall(read(topic)))
    assert 'File "<console>"' not in page
    assert not re.search(r"^\$ cd\b", page, re.MULTILINE)


@pytest.mark.parametrize("topic", RUN)
def test_a_program_that_is_saved_is_run(topic):
    """A block that names a file is run by the console below it."""
    for program in blocks(topic, "python"):
        if name := re.match(r"# (\w+\.py)\n", program):
            after = read(topic).partition(program)[2]
            assert re.search(rf"^\$ .*python {name[1]}", after, re.MULTILINE), name[1]


def test_the_sessions_are_many():
    """A page whose blocks had another mark would not be run at all."""
    assert sum(len(BLOCK.findall(read(topic))) for topic in PAGES) > 30
    assert {"README", "record", "query", "cli", "compare", "report", "maintain", "endings", "resume"} <= set(RUN)
