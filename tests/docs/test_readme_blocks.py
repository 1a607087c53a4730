"""README is short, has its parts in order, and names what a newcomer needs."""

from __future__ import annotations

import re
import tomllib

import pytest
from document_pages import README, ROOT, blocks, prose, read

pytestmark = pytest.mark.skipif(not README.exists(), reason="the README is not beside the tests")

ORDER = [
    "# runbook",
    "```python\n# train.py",
    "with experiment(",
    "$ runbook ls",
    "examples/report.png",
    "## Install",
    "examples/quickstart.py\n",
    "pytest -q -n auto\n",
    "Use it if",
    "Do not use it if",
    "## How an experiment ends",
    "## Five commands",
    "## Promises",
    "Not promised",
    "## Read on",
]


def test_it_can_be_read_in_one_sitting():
    """About 200 lines; what is longer belongs into the guide."""
    assert 150 < len(read("README").splitlines()) < 230


def test_its_parts_are_in_order():
    """What it is, how it looks, how to install it, and only then the details."""
    places = [read("README").index(part) for part in ORDER]
    assert places == sorted(places)


def test_the_opening_is_three_sentences():
    """A reader who stops there knows what it is."""
    opening = re.sub(r"`[^`]*`", "", prose("README").split("\n\n")[1])
    assert opening.count(".") == len(opening.splitlines()) == 3


def test_the_first_programs_are_short():
    """Eight lines and a little more for each of the two ways in."""
    for program in blocks("README", "python")[:2]:
        assert len([line for line in program.splitlines()[1:] if line.strip()]) <= 10


def test_a_fresh_clone_has_two_commands():
    """The continuous integration reads both from the page."""
    for end in ("quickstart.py", "pytest -q -n auto"):
        assert len(re.findall(rf"^    python3 -m venv .*{re.escape(end)}$", read("README"), re.MULTILINE)) == 1


def test_every_extra_is_on_the_page():
    """What is not there is not found by anybody."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert [name for name in project["optional-dependencies"] if f"`runbook[{name}]`" not in read("README")] == []
