"""Prints the lowest versions that pyproject.toml allows, as constraints for pip.

python .ci/lowest_versions.py > constraints.txt
pip install -c constraints.txt . --group test
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

_LOWER_BOUND = re.compile(r"([\w.-]+)>=([\w.]+)")


def lowest_versions(project: dict[str, object]) -> dict[str, str]:
    """The lower bound of each dependency of the package and of its extras, by the name of the dependency.

    Args:
        project: the table `project` of pyproject.toml.
    """
    extras: dict[str, list[str]] = project["optional-dependencies"]  # type: ignore[assignment]
    dependencies: list[str] = project["dependencies"]  # type: ignore[assignment]
    found: dict[str, str] = {}
    for requirement in [*dependencies, *(one for several in extras.values() for one in several)]:
        bound = _LOWER_BOUND.match(requirement)
        if bound is None:
            raise SystemExit(f"pyproject.toml: {requirement!r} has no lower bound")
        if found.setdefault(bound[1], bound[2]) != bound[2]:
            raise SystemExit(f"pyproject.toml: {bound[1]} has two lower bounds")
    return found


if __name__ == "__main__":
    pyproject = Path(__file__).parents[1] / "pyproject.toml"
    versions = lowest_versions(tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"])
    print(*(f"{name}=={version}" for name, version in versions.items()), sep="\n")
