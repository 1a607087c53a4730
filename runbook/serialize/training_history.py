"""The training histories of frameworks as columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook.serialize.jsonable import to_jsonable

if TYPE_CHECKING:
    from runbook.typing import JsonObject


def as_columns(history: object) -> JsonObject:
    """The columns of a training history: a list of JSON-compatible values for each name.

    Args:
        history: a mapping of lists (Keras's own form), a list of mappings (one for each epoch), an object with
            such a mapping in its attribute `history` (a Keras `History`), or a data frame.

    Raises:
        TypeError: if it is none of these.
    """
    inner = getattr(history, "history", None)
    if isinstance(inner, dict):
        history = inner
    elif hasattr(history, "to_dict") and hasattr(history, "columns"):
        history = history.to_dict("list")
    data = to_jsonable(history)
    if isinstance(data, dict) and "__repr__" not in data:
        return data
    if isinstance(data, list) and all(isinstance(row, dict) for row in data):
        names = dict.fromkeys(name for row in data if isinstance(row, dict) for name in row)
        return {name: [row.get(name) for row in data if isinstance(row, dict)] for name in names}
    raise TypeError(
        f"a training history of type {type(history).__name__} is not understood; "
        "pass a dict of lists, a list of dicts or a Keras History"
    )
