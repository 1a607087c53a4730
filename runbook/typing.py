"""Names for annotations."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, TypeAlias, TypedDict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

StrPath: TypeAlias = str | PathLike[str]
"""A path as a string or as a path object."""

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"
"""Data that strict JSON can hold: string keys only, and no NaN or infinity among the floats."""

JsonObject: TypeAlias = dict[str, Json]
"""The mapping at the top of most files."""

Entry: TypeAlias = "Mapping[str, Any]"
"""An experiment as the registry has it, whoever wrote it: a value may be anything that JSON can hold."""

ProgressHook: TypeAlias = "Callable[[int, int], None]"
"""What is told how much is done, and how much there is to do: first 0, at the end all of it."""


class ExperimentOptions(TypedDict, total=False):
    """What can be said of an experiment beside its config; see `runbook.experiment`."""

    name: str | None
    description: str | None
    tags: Iterable[str] | str
    hash_exclude: Iterable[str]
    resume: str
    allow_config_change: bool
    rank: int | None
    redact: str | Callable[[JsonObject], Mapping[str, Any]]


class TrackedOptions(ExperimentOptions, total=False):
    """What can be said to `tracked`; see `runbook.tracked`."""

    config: object
    save_result: bool
    skip_completed: bool
