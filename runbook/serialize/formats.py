"""The formats of files: the suffix of the name decides how an object is written and read."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import attrs

from runbook import errors
from runbook.serialize import json_text
from runbook.serialize.arrays import defines, on_host
from runbook.serialize.flatten import restore_floats
from runbook.serialize.jsonable import to_jsonable

if TYPE_CHECKING:
    from runbook.typing import Json


@attrs.frozen
class Format:
    """How objects are written to and read from one kind of file.

    Args:
        write: writes an object to an open file.
        read: returns the object in a file.
        is_pickle: whether reading may run code that the file contains.
    """

    write: Callable[[Any, BinaryIO], None]
    read: Callable[[Path], Any]
    is_pickle: bool = False


def format_of(filename: str) -> Format:
    """The format that the suffix of a file name stands for.

    Raises:
        UnknownSuffixError: for any other suffix; it names those that are known.
    """
    try:
        return FORMATS[Path(filename).suffix.lower()]
    except KeyError:
        raise errors.UnknownSuffixError(filename, tuple(FORMATS)) from None


def load(path: Path, *, allow_pickle: bool = False) -> Any:
    """The object in a file, read in the format of its suffix.

    Raises:
        UnknownSuffixError: if the suffix names no known format.
        PickleNotAllowedError: if it is a pickle and `allow_pickle` is False.
        FileNotFoundError: if there is no such file.
    """
    format_ = format_of(path.name)
    if format_.is_pickle and not allow_pickle:
        raise errors.PickleNotAllowedError(path)
    return format_.read(path)


def _write_pickle(value: object, file: BinaryIO) -> None:
    import pickle

    pickle.dump(value, file, protocol=pickle.HIGHEST_PROTOCOL)


def _read_pickle(path: Path) -> object:
    import pickle

    with path.open("rb") as file:
        return pickle.load(file)


def _write_json(value: object, file: BinaryIO) -> None:
    file.write(json_text.encode(to_jsonable(value)))


def _read_json(path: Path) -> object:
    return restore_floats(json_text.decode(path.read_bytes(), path))


def _write_json_lines(value: object, file: BinaryIO) -> None:
    file.writelines(json_text.encode(row, indent=None) for row in _rows(value))


def _read_json_lines(path: Path) -> list[object]:
    rows: list[object] = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            rows.append(restore_floats(json_text.decode(line, path)))
        except errors.DamagedFileError as error:
            raise errors.DamagedFileError(path, f"line {number}: {error.problem}") from error
    return rows


def _rows(value: Any) -> list[Json]:
    """The rows of a table that is given by rows or by columns."""
    data = to_jsonable(list(value) if isinstance(value, Iterator) else value)
    if isinstance(data, list):
        return data
    columns = [column for column in data.values() if isinstance(column, list)] if isinstance(data, dict) else []
    if not isinstance(data, dict) or len(columns) != len(data) or len({len(column) for column in columns}) > 1:
        raise TypeError(
            f"{type(value).__name__} is neither rows nor columns; pass a list of rows, "
            "or a mapping of columns of the same length, or save it as .json"
        )
    return [dict(zip(data, cells, strict=True)) for cells in zip(*columns, strict=True)]


def _write_csv(value: Any, file: BinaryIO) -> None:
    import csv

    rows = [row if isinstance(row, dict) else {"value": row} for row in _rows(value)]
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    writer = csv.DictWriter(text, names)
    writer.writeheader()
    writer.writerows(rows)
    text.detach()


def _read_csv(path: Path) -> list[dict[str, str]]:
    import csv

    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _write_text(value: object, file: BinaryIO) -> None:
    file.write(str(value).encode(errors="backslashreplace"))


def _read_text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _write_npy(value: object, file: BinaryIO) -> None:
    import numpy as np

    np.save(file, _as_array(value), allow_pickle=False)


def _write_npz(value: object, file: BinaryIO) -> None:
    import zipfile

    import numpy as np

    arrays = value if isinstance(value, dict) else {"arr_0": value}
    # numpy.savez takes the names as keywords, and uses some keywords itself. The format is a zip file of .npy files:
    # https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, _as_array(array), allow_pickle=False)


def _as_array(value: Any) -> Any:
    """An array or tensor, or a sequence of them, as a NumPy array that can be read back anywhere."""
    import numpy as np

    array = np.asanyarray([_readable(item) for item in value] if type(value) in (list, tuple) else _readable(value))
    # A dtype of another package, such as JAX's bfloat16, would be written as bytes without a meaning.
    is_foreign = array.dtype.isbuiltin == 2  # noqa: PLR2004 - the number that NumPy documents
    return array.astype(np.float32) if is_foreign else array


def _readable(value: Any) -> Any:
    """A tensor in a form that NumPy reads: floats that NumPy does not have become float32; other values as they are."""
    tensor = on_host(value)
    if defines(type(tensor), "detach", "float") and str(tensor.dtype).startswith(("torch.bfloat16", "torch.float8")):
        return tensor.float()
    return tensor


def _read_npy(path: Path) -> object:
    import numpy as np

    return np.load(path, allow_pickle=False)


def _read_npz(path: Path) -> dict[str, object]:
    import numpy as np

    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def _write_torch(value: object, file: BinaryIO) -> None:
    import torch

    torch.save(value, file)


def _read_torch(path: Path) -> object:
    import torch

    return torch.load(path, weights_only=False, map_location="cpu")


_PICKLE: Final = Format(_write_pickle, _read_pickle, is_pickle=True)
_TORCH: Final = Format(_write_torch, _read_torch, is_pickle=True)
FORMATS: Final[dict[str, Format]] = {
    ".pkl": _PICKLE,
    ".pickle": _PICKLE,
    ".json": Format(_write_json, _read_json),
    ".jsonl": Format(_write_json_lines, _read_json_lines),
    ".csv": Format(_write_csv, _read_csv),
    ".npy": Format(_write_npy, _read_npy),
    ".npz": Format(_write_npz, _read_npz),
    ".pt": _TORCH,
    ".pth": _TORCH,
    ".txt": Format(_write_text, _read_text),
}
