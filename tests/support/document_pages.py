"""The pages that the tests of this folder read: README of the repository, and the guide of the imported package."""

from __future__ import annotations

import re
from pathlib import Path

import runbook

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
TOUR = ROOT / "examples" / "tour.py"
GUIDE = Path(runbook.__file__).parent / "guide"
PAGES = {"README": README, **{path.stem: path for path in sorted(GUIDE.glob("*.md"))}}

FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def read(topic: str) -> str:
    """The text of a page."""
    return PAGES[topic].read_text(encoding="utf-8")


def blocks(topic: str, language: str) -> list[str]:
    """The bodies of the blocks of one language on a page."""
    return [body for found, body in FENCED.findall(read(topic)) if found == language]


def prose(topic: str) -> str:
    """A page without its blocks."""
    return FENCED.sub("", read(topic))
