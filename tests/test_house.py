"""The shape of the house: floors, faces, and which module may import which."""

from __future__ import annotations

import ast
import importlib
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import runbook

ROOT = Path(runbook.__file__).parent
FLOORS = [
    {"hints", "typing"},
    {"errors"},
    {"environ", "display"},
    {"messages"},
    {"serialize"},
    {"record", "config"},
    {"storage", "render"},
    {"index", "capture", "read"},
    {"query", "run", "maintain"},
    {"compare", "transfer"},
    {"pages"},
    {"api"},
    {"cli"},
]
"""From the ground up. The door (`runbook/__init__.py`) and `__main__` stand outside."""

FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}
MODULES = {
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in ROOT.rglob("*.py")
    if path not in {ROOT / "__init__.py", ROOT / "__main__.py"}
}


def imported(path, *, inside_functions=True, for_types=False):
    """The modules of ours that one imports.

    Args:
        path: the file.
        inside_functions: whether what a function imports when it is called counts.
        for_types: whether what only type checkers see counts.
    """
    found = set()

    def walk(node):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and getattr(child.test, "id", None) == "TYPE_CHECKING" and not for_types:
                continue
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)) and not inside_functions:
                continue
            if isinstance(child, ast.ImportFrom) and child.module and child.module.split(".")[0] == "runbook":
                names = {f"{child.module}.{alias.name}" for alias in child.names}
                found.update(name if name in MODULES else child.module for name in names)
            if isinstance(child, ast.Import):
                found.update(alias.name for alias in child.names if alias.name.split(".")[0] == "runbook")
            walk(child)

    walk(ast.parse(path.read_text(encoding="utf-8")))
    # The door gives names of the whole house, and loads a module when its name is used.
    return found - {"runbook"}


def package(module):
    return module.split(".")[1]


def order(graph):
    """From the bottom up; fails with the cycle that there is."""
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as cycle:
        pytest.fail(" <- ".join(cycle.args[1]))


def upwards(name, below):
    """Those of the imported modules that do not stand on a lower floor."""
    others = {other for other in below if package(other) != package(name)}
    return sorted(other for other in others if FLOOR[package(other)] >= FLOOR[package(name)])


def test_every_package_has_a_floor():
    """A new one has to find its place in the list."""
    assert set(map(package, MODULES)) == set(FLOOR)


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_down(name):
    """To a lower floor, inside functions and for types too; neighbours on one floor never import each other."""
    assert upwards(name, imported(MODULES[name], for_types=True)) == []


def test_within_a_package_there_is_no_cycle():
    """So that each module can be read without those that stand on it, whoever calls what in a function."""
    for one in sorted(set(FLOOR)):
        inner = {name: path for name, path in MODULES.items() if package(name) == one}
        graph = {name: (imported(path) & set(inner)) - {name} for name, path in inner.items()}
        assert set(order(graph)) == set(inner)


def crossing(name, path):
    """What a module takes from other packages: the package, and the name in its face."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("runbook."):
            _, other, *inner = node.module.split(".")
            if other != package(name) and (ROOT / other).is_dir():
                yield from ((other, alias) for alias in (inner[:1] or [alias.name for alias in node.names]))


@pytest.mark.parametrize("name", MODULES)
def test_packages_meet_at_their_faces(name):
    """What `__init__.py` does not hand on is the package's own to change."""
    hidden = [
        f"{other}.{alias}"
        for other, alias in crossing(name, MODULES[name])
        if alias not in importlib.import_module(f"runbook.{other}").__all__
    ]
    assert hidden == []


def test_a_face_hands_on_nothing_that_nobody_takes():
    """Else it would say that something is in use which is not."""
    taken = {pair for name, path in MODULES.items() for pair in crossing(name, path)}
    taken |= {("api", "manager"), ("api", "tracking"), ("cli", "main")}
    faces = {name for name in FLOOR if (ROOT / name).is_dir()}
    handed_on = {(one, name) for one in faces for name in importlib.import_module(f"runbook.{one}").__all__}
    assert handed_on - taken == set()


def test_the_reader_of_imports_can_tell():
    """It sees all kinds, so that an order that is found means something."""
    manager = MODULES["runbook.api.manager"]
    assert imported(manager, inside_functions=False) == set()
    assert {"runbook.run.plan", "runbook.pages.report"} <= imported(manager)
    assert "runbook.read.view" not in imported(manager) and "runbook.read.view" in imported(manager, for_types=True)
    assert upwards("runbook.record.model", {"runbook.config.settings", "runbook.typing"}) == ["runbook.config.settings"]
    assert ("index", "Index") in set(crossing("runbook.run.start", MODULES["runbook.run.start"]))
