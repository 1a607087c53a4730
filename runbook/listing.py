"""Experiments as a list that shows itself in notebooks and becomes a data frame."""

from __future__ import annotations

from typing import Any


class ExperimentList(list[dict[str, Any]]):
    """Experiments as plain dicts, with the fields of the registry.

    It is a list in every respect, and equal to a plain one.
    """
