"""What README shows of the command line and of Python is what comes out today."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import runbook

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
TOUR = ROOT / "examples" / "tour.py"
pytestmark = pytest.mark.skipif(
    not (README.exists() and TOUR.exists()), reason="the README and the examples are not beside the tests"
)

BLOCK = re.compile(r"^<!-- tour(?:: live)? -->\n```(?:console|pycon)\n.*?^```$", re.MULTILINE | re.DOTALL)
# What must differ between two days and two machines; each becomes a text of its own, and all the rest is compared.
MASKS = {
    re.compile(r"\b[0-9]{8}(\\?_)[0-9]{6}(?=\1)"): "<when started>",
    re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:]{5,8}"): "<time>",
    re.compile(r"\bjust now\b|\b[0-9]+ (?:s|min|h) ago\b"): "<age>",
    re.compile(r"\b[0-9]+\.[0-9] (?:s|min|h)\b"): "<duration>",
    re.compile(r"[0-9.e+]+/s\b"): "<rate>",
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


@pytest.fixture(scope="module")
def page() -> str:
    """The page as it is in the repository."""
    return README.read_text(encoding="utf-8")


def test_the_page_shows_what_comes_out(page, tmp_path):
    """Names, numbers, columns and wording are those of today; `python examples/tour.py --write README.md` renews them."""
    for library in ("fcntl", "pandas", "plotly", "scipy"):
        pytest.importorskip(library)
    copy = tmp_path / "README.md"
    copy.write_text(page, encoding="utf-8")
    paths = [str(Path(runbook.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, TOUR, "--write", copy],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]
    assert shown(copy.read_text(encoding="utf-8")) == shown(page)


@pytest.mark.parametrize(
    ("found", "instead"),
    [
        ("0.8498", "0.8497"),
        ("_logreg_5b71004a", "_logreg_5b71004b"),
        ("interrupted", "failed"),
        ("  took  ", "  time  "),
        ("0.040*", "0.040"),
        ("no experiment has a field", "there is no field"),
        ("learning_rate  0.3 there", "learning_rate   0.3 there"),
        ("stopped by Ctrl-C\n", ""),
        ("40/100", "41/100"),
        ("$ runbook why @2", "$ runbook why @1"),
    ],
)
def test_a_change_of_what_comes_out_is_noticed(page, found, instead):
    """A number, a name, a column, a word, a space that aligns, a line, a command: the comparison sees each."""
    assert found in page
    assert shown(page.replace(found, instead, 1)) != shown(page)


def test_only_what_must_differ_is_masked(page):
    """Another day, another machine and other lengths of time make no difference."""
    other = re.sub(r"\b20[0-9]{6}_[0-9]{6}_", "20990101_235959_", page)
    other = re.sub(r"^(  python +).*$", r"\g<1>3.13.0 on Darwin", other, flags=re.MULTILINE)
    other = other.replace("just now", "12 s ago").replace("0.1 s", "11.1 s").replace("0.0 s", "2.5 min")
    assert other != page
    assert shown(other) == shown(page)


def test_the_blocks_are_many_and_all_have_an_outcome(page):
    """Each block of the page is one that the tour runs, and a traceback is none of what it shows."""
    blocks = BLOCK.findall(page)
    assert len(blocks) == page.count("<!-- tour") == len(re.findall(r"^```(?:console|pycon)$", page, re.MULTILINE)) > 10
    assert 'Traceback (most recent call last):\n  File "<console>"' not in page
    assert all(len(block.splitlines()) > 4 for block in blocks)


def test_a_reader_is_where_the_tour_is(page):
    """Nothing of the quickstart is in what the page shows, and no command leaves the folder for the next one."""
    assert re.findall(r"export RUNBOOK_DIR=(\w+)", page) == re.findall(r"/home/you/project/(\w+)/", page)[:1]
    assert not re.search(r"^\$ cd\b", page, re.MULTILINE)
