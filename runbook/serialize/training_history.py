"""Training histories in the forms that frameworks keep them, as columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook.serialize.jsonable import to_jsonable

if TYPE_CHECKING:
    from runbook.typing import JsonObject


def as_columns(history: object) -> JsonObject:
    """Any common form of a training history as plain columns.

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
    plain = to_jsonable(history)
    if isinstance(plain, dict) and "__repr__" not in plain:
        return plain
    if isinstance(plain, list) and all(isinstance(row, dict) for row in plain):
        names = dict.fromkeys(name for row in plain if isinstance(row, dict) for name in row)
        return {name: [row.get(name) for row in plain if isinstance(row, dict)] for name in names}
    raise TypeError(
        f"a training history of type {type(history).__name__} is not understood; "
        "pass a dict of lists, a list of dicts or a Keras History"
    )
