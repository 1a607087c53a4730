"""The pages for contributors describe the repository as it is: links, folders, modules and examples."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAP = ROOT / "runbook" / "README.md"
PAGES = [
    ROOT / ".github" / "CONTRIBUTING.md",
    ROOT / ".github" / "SECURITY.md",
    MAP,
    ROOT / "tests" / "README.md",
    ROOT / "examples" / "README.md",
]
pytestmark = pytest.mark.skipif(
    not all(page.exists() for page in PAGES), reason="the pages for contributors are not beside the tests"
)


def prose_of(page: Path) -> str:
    """A page without its code blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def folders_in(folder: Path) -> set[str]:
    """The folders that hold something, by name."""
    found = {path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "_"))}
    return {path.name for path in found if any(file.is_file() for file in path.rglob("*[!c]"))}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file(page):
    """A file that was moved takes its links along."""
    targets = [target for target in re.findall(r"\]\(([^)]+)\)", prose_of(page)) if not target.startswith("http")]
    assert [target for target in targets if not (page.parent / target.partition("#")[0]).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_line_holds_one_sentence(page):
    """A change of one sentence is a change of one line; tables are the exception."""
    lines = [line for line in prose_of(page).splitlines() if not line.startswith(("|", "    "))]
    assert [line for line in lines if re.search(r"[a-z`)][.?!] [A-Z`]", line)] == []


def test_the_map_names_every_package():
    """The table of floors has a row for each folder of the package, but for the guide, which has no code."""
    named = set(re.findall(r"^\| \d+ \| `(\w+)/`", MAP.read_text(encoding="utf-8"), re.MULTILINE))
    # No integration is written yet.
    assert named - {"integrations"} == folders_in(ROOT / "runbook") - {"guide"}


def test_every_module_on_the_map_exists():
    """A module that is renamed is renamed on the map, too."""
    named = set(re.findall(r"`((?:\w+/)+\w+\.(?:py|js))`", prose_of(MAP)))
    assert len(named) > 30
    roots = (ROOT / "runbook", ROOT)
    assert {path for path in named if not any((root / path).exists() for root in roots)} == set()


def test_the_page_about_tests_names_every_folder_of_tests():
    """Somebody who writes a test finds its place."""
    page = (ROOT / "tests" / "README.md").read_text(encoding="utf-8")
    assert {name for name in folders_in(ROOT / "tests") if f"| `{name}/` |" not in page} == set()


def test_the_page_about_examples_names_every_example():
    """A new example brings its row."""
    page = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in (ROOT / "examples").glob("*.py") if f"]({path.name})" not in page] == []
