"""What people read names only classes that they can import."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import click
import pytest

import runbook
from runbook.cli import main

ROOT = Path(runbook.__file__).parent
SOURCES = {path.relative_to(ROOT): ast.parse(path.read_text(encoding="utf-8")) for path in ROOT.rglob("*.py")}
INTERNAL = {node.name for tree in SOURCES.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)} - set(
    runbook.__all__
)
NAMED = re.compile(rf"\b(?:{'|'.join(sorted(INTERNAL))})\b")
PUBLIC = [value for name in runbook.__all__ if inspect.isclass(value := getattr(runbook, name))]


def texts(tree):
    """The text in a module that may reach people: not docstrings, annotations, names and lists of names."""
    silent = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in silent:
            # A word alone is a name; several with a bar between them are a type.
            if " " in node.value.strip() and not re.fullmatch(r"[\w.\[\], ]+(?: \| [\w.\[\], ]+)+", node.value):
                yield node.value


def test_no_message_names_an_internal_class():
    """Nobody can look such a class up; "Not captured" on a page is English."""
    found = [(str(path), text) for path, tree in SOURCES.items() for text in texts(tree) if NAMED.search(text)]
    assert [one for one in found if one[1] != "Not captured"] == []


def test_internal_classes_are_found_in_messages():
    """The pattern finds internal names; otherwise the test above would check nothing."""
    assert {"ExperimentBlock", "Lifecycle", "DiskWriter"} <= INTERNAL
    assert list(filter(NAMED.search, texts(ast.parse('raise TypeError(f"Lifecycle of {it} is over")'))))
    assert not NAMED.search("pass an Experiment to ExperimentManager")


def test_no_message_takes_the_name_of_a_class_of_ours_from_itself():
    """`type(self).__name__` is whatever class a method happens to stand in; a repr is for public objects."""
    functions = [node for tree in SOURCES.values() for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    named = {one.name for one in functions if re.search(r"(type\(self\)|self\.__class__)\.__", ast.unparse(one))}
    assert named <= {"__repr__"}


@pytest.mark.parametrize("cls", PUBLIC, ids=lambda cls: cls.__name__)
def test_what_python_says_of_a_wrong_call_names_the_public_class(cls):
    """`Name.method() got an unexpected keyword argument` has the name from where the method was written."""
    functions = [getattr(one, "__func__", one) for name, one in inspect.getmembers(cls) if not name.startswith("_")]
    ours = [one for one in functions if inspect.isfunction(one) and one.__module__.startswith("runbook.")]
    assert {one.__qualname__ for one in ours if one.__qualname__.partition(".")[0] not in runbook.__all__} == set()


@pytest.mark.parametrize("verb", main.list_commands(click.Context(main)))
def test_no_help_names_an_internal_class(verb):
    """The help of a command is read by people who never open its source; "Options" is the title of a section."""
    command = main.get_command(click.Context(main), verb)
    text = command.get_help(click.Context(command)).replace("Options:", "")
    assert NAMED.search(text) is None
