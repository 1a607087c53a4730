"""The page of every public name is what the docstrings say today."""

from __future__ import annotations

import inspect
from pathlib import Path

import api_reference
import pytest

import runbook

PAGE = Path(runbook.__file__).parent / "guide" / "api.md"


@pytest.fixture(scope="module")
def page() -> str:
    """The page as it ships."""
    return PAGE.read_text(encoding="utf-8")


def test_the_page_is_what_the_docstrings_say(page):
    """`python tests/support/api_reference.py --write` renews it."""
    assert page.splitlines() == api_reference.build_page().splitlines()


@pytest.mark.parametrize("name", runbook.__all__)
def test_every_public_name_has_a_heading(page, name):
    """A new name of the package appears on the page without being listed by hand."""
    assert any(line.startswith("#") and line.split()[1] == name for line in page.splitlines())


def test_every_public_member_is_on_the_page(page):
    """All methods and properties, also the inherited ones."""
    for name in api_reference.CLASSES:
        for member, _ in inspect.getmembers(getattr(runbook, name)):
            is_inherited = hasattr(dict, member) or hasattr(list, member)
            if not member.startswith("_") and not is_inherited:
                assert f".{member}" in page or f"`{member}`" in page, f"{name}.{member}"


def test_every_member_is_explained():
    """A method or a property without a docstring would be a heading with nothing below it."""
    for name in api_reference.CLASSES:
        cls = getattr(runbook, name)
        for member, value in vars(cls).items():
            if not member.startswith("_") and (inspect.isfunction(value) or isinstance(value, property)):
                assert inspect.getdoc(value), f"{name}.{member}"


def test_a_change_of_a_docstring_is_noticed(page, monkeypatch):
    """The comparison is of the texts, not of the names alone."""
    monkeypatch.setattr(runbook.Experiment.log, "__doc__", "Another text.")
    assert api_reference.build_page() != page


def test_nothing_on_the_page_is_html_to_a_renderer(page):
    """A placeholder such as `<name>` would vanish from a rendered page."""
    prose, is_code = [], False
    for line in page.splitlines():
        if line.startswith("```"):
            is_code = not is_code
        elif not is_code and not line.startswith("<!--"):
            prose += line.split("`")[::2]
    assert not [text for text in prose if "<" in text.replace("\\<", "")]
