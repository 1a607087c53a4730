"""Names for annotations."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from typing import TypeAlias

StrPath: TypeAlias = str | PathLike[str]
"""A path as a string or as a path object."""

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"
"""Data that strict JSON can hold: string keys only, and no NaN or infinity among the floats."""

JsonObject: TypeAlias = dict[str, Json]
"""The mapping at the top of most files."""

Progress: TypeAlias = Callable[[int, int], None]
"""A hook that is told how much is done, and how much there is to do: first 0, at the end all of it."""
