"""The modules of the commands are twins: one verb each, in one order."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import click
import pytest

from runbook.cli import commands, main

FOLDER = Path(commands.__file__).parent
MODULES = {path.stem: path for path in FOLDER.glob("*.py") if path.stem != "__init__"}
VERBS = main.list_commands(click.Context(main))


def functions_of(path):
    """The functions at the top of a module, in their order."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in tree.body if isinstance(node, ast.FunctionDef)]


def is_command(function):
    return any(isinstance(one, ast.Call) and ast.unparse(one.func) == "command" for one in function.decorator_list)


def test_each_verb_has_a_module_and_each_module_a_verb():
    """Whoever looks for a command finds it by its name; Python's own words get an underscore."""
    assert sorted(name.rstrip("_") for name in MODULES) == sorted(VERBS)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_the_command_stands_first_and_is_called_like_its_module(name):
    """Below it are its helpers; no other command stands in its file."""
    first, *helpers = functions_of(MODULES[name])
    assert (first.name, is_command(first)) == (name, True)
    assert not any(map(is_command, helpers))


@pytest.mark.parametrize("name", sorted(MODULES))
def test_the_docstring_of_a_module_begins_with_its_verb(name):
    """The verb as it is typed, then what it is about."""
    module = importlib.import_module(f"runbook.cli.commands.{name}")
    verb = name.rstrip("_")
    assert (module.__doc__ or "").startswith(f"`{verb}`: ")
    assert getattr(module, name).name == verb


def test_no_command_takes_anything_from_another():
    """What they share stands in `cli/`, so that each can be changed, and loaded, by itself."""
    assert [name for name, path in MODULES.items() if "runbook.cli.commands" in path.read_text(encoding="utf-8")] == []
