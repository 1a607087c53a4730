"""A list of experiments, which notebooks show as a table and which converts to a data frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, SupportsIndex, overload

from runbook.serialize.flatten import restore_floats

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd

    from runbook.typing import JsonObject

_FIELDS: Final = ("experiment_id", "custom_name", "status", "end_reason", "timestamp", "completed_at", "duration_s")
_MORE_FIELDS: Final = ("tags", "notes", "description", "host", "parent")
_NUMBERS: Final = frozenset({int, float})
_EXACT_IN_A_FLOAT: Final = 2**53


_EVERY_FIELD: Final = [
    *("experiment_id", "timestamp", "status", "custom_name", "description", "config", "directory"),
    *("completed_at", "notes", "metrics", "tags", "end_reason", "parent", "host"),
]
_EMPTY: Final[dict[str, Any]] = dict.fromkeys(_EVERY_FIELD)


class ExperimentList(list[dict[str, Any]]):
    """Experiments as plain dicts, with the fields of the registry.

    It is a list in every respect, and equal to a plain list of the same dicts; a notebook shows it as a table.

    Example:
        >>> best = manager.find("metrics.f1 > 0.8", sort="-metrics.f1")[:5]  # doctest: +SKIP
        >>> best.to_dataframe().groupby("config.lr")["metrics.f1"].mean()  # doctest: +SKIP
    """

    @overload
    def __getitem__(self, index: SupportsIndex) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> ExperimentList: ...
    def __getitem__(self, index: SupportsIndex | slice) -> dict[str, Any] | ExperimentList:
        found = super().__getitem__(index)
        return ExperimentList(found) if isinstance(found, list) else found

    def to_dataframe(self) -> pd.DataFrame:
        """One row an experiment, in the order of the list, numbered from 0.

        The columns are `experiment_id`, `custom_name`, `status`, `end_reason`, `timestamp` and `completed_at` (in
        UTC), `duration_s` (seconds from the one to the other, to now while it runs), `tags`, `notes`, `description`,
        `host` and `parent`; then every setting as `config.<dotted name>` and every metric as `metrics.<name>`, in the
        order in which they first appear. A list is one value, NaN and the infinities are floats, and fields that an
        experiment does not have are missing values.

        Raises:
            MissingExtraError: if pandas is not installed.

        Example:
            >>> frame = manager.list_experiments().to_dataframe()  # doctest: +SKIP
            >>> frame.set_index("experiment_id")["metrics.f1"].idxmax()  # doctest: +SKIP
        """
        try:
            import numpy as np
            import pandas as pd
        except ImportError as error:
            from runbook.errors import MissingExtraError

            raise MissingExtraError("pandas", "pandas", "a data frame is one of its") from error
        from datetime import UTC, datetime

        from runbook.record import registry_entry
        from runbook.serialize.flatten import flatten

        now = datetime.now(UTC)
        columns: dict[str, pd.Series[Any]] = {}
        for name in (*_FIELDS, *_MORE_FIELDS):
            if name == "duration_s":
                durations = [registry_entry.duration_of(entry, now) for entry in self]
                columns[name] = pd.Series(durations, dtype="float64")
            elif name in registry_entry.TIMES:
                times = [registry_entry.parse_moment(entry.get(name)) for entry in self]
                # Microseconds are what is on record, and reach from the year 1 to the year 9999; pandas 2 makes
                # nanoseconds of datetimes first, which do not.
                naive = [None if time is None else time.replace(tzinfo=None) for time in times]
                columns[name] = pd.Series(np.array(naive, dtype="datetime64[us]")).dt.tz_localize("UTC")
            else:
                columns[name] = pd.Series([entry.get(name) for entry in self], dtype="object")
        for section in registry_entry.SECTIONS:
            found: dict[str, list[Any]] = {}
            for row, entry in enumerate(self):
                for name, value in flatten(registry_entry.section_of(entry, section)).items():
                    if name not in found:
                        found[name] = [None] * len(self)
                    found[name][row] = restore_floats(value)
            for name, values in found.items():
                columns[f"{section}.{name}"] = pd.Series(values, dtype=_choose_dtype(values))
        return pd.DataFrame(columns, index=pd.RangeIndex(len(self)))

    def _repr_html_(self) -> str:
        from runbook.render import notebook

        return notebook.experiments_html(self)


def list_of_entries(entries: Iterable[JsonObject]) -> ExperimentList:
    """Registry entries with every field, also those that the legacy tool wrote, and with non-finite floats as floats.

    Args:
        entries: the list keeps these objects and may change them.
    """
    return ExperimentList(map(_complete_entry, entries))


def _choose_dtype(values: Sequence[object]) -> str | None:
    """The type of a column; None where pandas chooses one that keeps every value."""
    is_large = any(isinstance(value, int) and abs(value) > _EXACT_IN_A_FLOAT for value in values)
    if is_large and not all(isinstance(value, int) for value in values):
        # Beside a missing value pandas would make it a float, which cannot hold all digits of a large integer.
        return "object"
    return "object" if all(value is None or isinstance(value, str) for value in values) else None


def _complete_entry(entry: JsonObject) -> dict[str, Any]:
    # Nearly every entry has all fields in this order; then no copy is needed.
    whole = entry if [*entry] == _EVERY_FIELD else {**_EMPTY, **entry}
    whole["tags"] = whole["tags"] or []
    whole["config"] = whole["config"] or {}
    metrics = whole["metrics"] or {}
    # Nearly always all are numbers; then there is nothing to restore.
    has_only_numbers = type(metrics) is dict and _NUMBERS.issuperset(map(type, metrics.values()))
    whole["metrics"] = metrics if has_only_numbers else restore_floats(metrics)
    return whole
