"""The content of arrays, tensors and tables, and the description of one that is too large to be written out.

NumPy, torch, JAX, pandas, polars and the like are recognised by the attributes that their classes define, so
that none of them is imported here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from runbook.serialize.scalars import clean_text, package_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runbook.typing import JsonObject

_READERS: Final = ("tolist", "to_list", "numpy", "__array__")
"""The methods that return the content of an array, the cheapest first."""


def defines(cls: type, *names: str) -> bool:
    """Whether a class or one of its bases defines all these names.

    Unlike `hasattr` on the object it runs no code of the object: a `__getattr__` may return something for any name.
    """
    return all(any(name in vars(base) for base in cls.__mro__) for name in names)


def is_table(cls: type) -> bool:
    """Whether instances of a class are data frames, such as those of pandas and polars."""
    return defines(cls, "shape", "columns") and (defines(cls, "itertuples") or defines(cls, "iter_rows"))


def is_array(cls: type) -> bool:
    """Whether instances of a class are arrays, tensors, series or NumPy scalars."""
    return defines(cls, "shape", "dtype") and any(defines(cls, reader) for reader in _READERS)


def element_count(value: Any) -> int:
    """How many elements an array or table has."""
    return math.prod(int(length) for length in value.shape)


def describe(value: Any) -> JsonObject:
    """An array or table by its type, shape and dtype or columns, without its content."""
    described: JsonObject = {
        "__array__": clean_text(package_name(type(value))),
        "shape": [int(length) for length in value.shape],
    }
    if is_table(type(value)):
        described["columns"] = [clean_text(str(name)) for name in value.columns]
    else:
        described["dtype"] = clean_text(str(value.dtype)).removeprefix("torch.")
    return described


def on_host(value: Any) -> Any:
    """A tensor as a dense one in main memory, without its graph; anything else as it is."""
    if not defines(type(value), "detach", "cpu"):
        return value
    value = value.detach().cpu()
    return value.to_dense() if getattr(value, "is_sparse", False) else value


def array_content(value: Any) -> object:
    """The content of an array: nested lists or one Python scalar; the fields of a structured array as a dict."""
    cls = type(value)
    if names := getattr(value.dtype, "names", None):
        return {name: value[name] for name in names}
    kind = getattr(value.dtype, "kind", "")
    if kind in ("m", "M") and package_name(cls).startswith("numpy."):
        # `tolist` turns times of nanosecond precision into bare integers.
        value = value.astype(str)
    value = on_host(value)
    reader = next(name for name in _READERS if defines(type(value), name))
    content = getattr(value, reader)()
    if type(content) is cls:
        # Python has no type for a long double: `tolist` returns the NumPy scalar itself.
        return complex(content) if kind == "c" else float(content)
    return content


def labels_of(series: Any) -> list[object] | None:
    """The labels of a pandas series or table; None where they only count the rows."""
    index = getattr(series, "index", None)
    if index is None or callable(index):  # polars has no labels, its `index_of`-like names are methods
        return None
    if getattr(index.dtype, "kind", "O") in "iuf" and index.name is None:
        return None
    return list(index)


def table_rows(value: Any) -> Iterable[list[tuple[object, object]]]:
    """The rows of a table, each as pairs of column and cell; labels come first, unless they only count the rows.

    Pairs and not dicts: pandas allows two columns of the same name.
    """
    if defines(type(value), "iter_rows"):
        names, rows = list(value.columns), value.iter_rows()
    else:
        labelled = value if labels_of(value) is None else value.reset_index(allow_duplicates=True)
        names, rows = list(labelled.columns), labelled.itertuples(index=False, name=None)
    return (list(zip(names, row, strict=True)) for row in rows)
