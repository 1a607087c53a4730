"""The shape of the house: modules and packages, and which of them lean on which."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import runbook

ROOT = Path(runbook.__file__).parent
MODULES = {
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in ROOT.rglob("*.py")
}


def imported(path, inside_functions):
    """The modules of ours that one imports when it runs; what only type checkers see does not count."""
    found = set()

    def walk(node):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and getattr(child.test, "id", None) == "TYPE_CHECKING":
                continue
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)) and not inside_functions:
                continue
            if isinstance(child, ast.ImportFrom) and child.module and child.module.split(".")[0] == "runbook":
                names = {f"{child.module}.{alias.name}" for alias in child.names}
                found.update(name if name in MODULES else child.module for name in names)
            walk(child)

    walk(ast.parse(path.read_text(encoding="utf-8")))
    # The door gives names of the whole house, and loads a module when its name is used.
    return found - {"runbook"}


def package(module):
    return ".".join(module.split(".")[:2])


def order(graph):
    """From the bottom up; fails with the cycle that there is."""
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as cycle:
        pytest.fail(" <- ".join(cycle.args[1]))


def test_no_module_imports_one_that_imports_it():
    """So that each can be read, and imported, without what stands above it."""
    graph = {name: imported(path, inside_functions=False) - {name} for name, path in MODULES.items()}
    assert set(order(graph)) == set(MODULES)


def test_no_package_leans_on_one_that_leans_on_it():
    """Not even by an import inside a function: a package is one layer, whoever calls what in it."""
    graph = {}
    for name, path in MODULES.items():
        graph.setdefault(package(name), set()).update(map(package, imported(path, inside_functions=True)))
    assert set(order({name: below - {name} for name, below in graph.items()})) == set(map(package, MODULES))


def test_the_reader_of_imports_can_tell():
    """It sees both kinds, so that an order that is found means something."""
    door = MODULES["runbook.api.manager"]
    assert imported(door, inside_functions=False) == {"runbook.api.manager_maintain"}
    assert {"runbook.run.lifecycle", "runbook.run.plan", "runbook.pages.report"} <= imported(
        door, inside_functions=True
    )
