"""The formats of files: what is written is read back, or writing is an error."""

from __future__ import annotations

import csv
import json
import math
import os
import pickle
from collections import OrderedDict
from dataclasses import dataclass
from types import MappingProxyType

import pytest

from runbook import DamagedFileError, PickleNotAllowedError, UnknownSuffixError, experiment
from runbook.serialize import formats


@pytest.fixture
def trip(tmp_path):
    """Writes a value and reads it back."""

    def trip(value, filename, *, allow_pickle=False):
        path = tmp_path / filename
        with path.open("wb") as file:
            formats.format_of(filename).write(value, file)
        return formats.load(path, allow_pickle=allow_pickle)

    return trip


@dataclass
class Result:
    """Something with fields."""

    label: int = 1
    score: float = 0.5


@pytest.mark.parametrize("suffix", [".pkl", ".pickle", ".PKL"])
def test_a_pickle_keeps_any_object(trip, suffix):
    """A pickle gives back any object that pickle can hold."""
    value = {"a": (1, {2, 3}), "r": Result(), 4: None}
    assert trip(value, f"x{suffix}", allow_pickle=True) == value


class Payload:
    """A pickle that makes a file when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("suffix", [".pkl", ".pickle", ".pt", ".pth"])
def test_a_pickle_is_loaded_only_when_that_is_said(tmp_path, suffix):
    """Without `allow_pickle=True` not one byte of its code runs; the message names the reason and the option."""
    path = tmp_path / f"evil{suffix}"
    path.write_bytes(pickle.dumps(Payload(str(tmp_path / "ran"))))
    with pytest.raises(PickleNotAllowedError, match="allow_pickle=True if you trust") as caught:
        formats.load(path)
    assert not (tmp_path / "ran").exists()
    assert caught.value.path == str(path)
    assert pickle.loads(pickle.dumps(caught.value)).path == str(path)


@pytest.mark.parametrize("filename", ["x.npy", "x.npz"])
def test_numpy_files_never_hold_objects(tmp_path, filename):
    """An array of objects would contain a pickle: it is refused when written and when read."""
    np = pytest.importorskip("numpy")
    array = np.array([Payload(str(tmp_path / "ran"))], dtype=object)
    path = tmp_path / filename
    with path.open("wb") as file, pytest.raises(ValueError, match="allow_pickle"):
        formats.format_of(filename).write(array, file)
    with path.open("wb") as file:
        np.save(file, array, allow_pickle=True) if filename.endswith("npy") else np.savez(file, a=array)
    with pytest.raises(ValueError, match="allow_pickle"):
        formats.load(path)
    assert not (tmp_path / "ran").exists()


def test_json_is_strict_and_takes_anything(tmp_path, trip):
    """Arrays, dataclasses and NaN become JSON that any reader understands."""
    np = pytest.importorskip("numpy")
    trip({"y": np.arange(3), "r": Result(), "nan": float("nan"), 1: {2}}, "x.json")
    text = (tmp_path / "x.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail) == {
        "y": [0, 1, 2],
        "r": {"label": 1, "score": 0.5},
        "nan": "NaN",
        "1": [2],
    }


ROWS = [{"id": 1, "label": "a"}, {"id": 2, "label": "ü\n\u2028"}]


@pytest.mark.parametrize(
    "value",
    [ROWS, tuple(ROWS), "generator", "frame"],
    ids=["list", "tuple", "generator", "frame"],
)
def test_json_lines_are_one_row_a_line(tmp_path, trip, value):
    """JSON Lines are written from any iterable of rows, or from a data frame."""
    if value == "generator":
        value = (row for row in ROWS)
    if isinstance(value, str):
        value = pytest.importorskip("pandas").DataFrame(ROWS)
    assert trip(value, "x.jsonl") == ROWS
    assert len((tmp_path / "x.jsonl").read_bytes().split(b"\n")) == len(ROWS) + 1


COLUMNS = {"y": [1, 0, 1], "p": [0.9, 0.1, 0.8]}
COLUMN_ROWS = [{"y": 1, "p": 0.9}, {"y": 0, "p": 0.1}, {"y": 1, "p": 0.8}]


@pytest.mark.parametrize("filename", ["x.jsonl", "x.csv"])
@pytest.mark.parametrize("make", [dict, OrderedDict, MappingProxyType, "numpy", "frame"])
def test_columns_are_written_as_rows(trip, filename, make):
    """A dict of columns, the usual form of predictions, is written row by row without loss."""
    if make == "numpy":
        np = pytest.importorskip("numpy")
        value = {name: np.array(column) for name, column in COLUMNS.items()}
    elif make == "frame":
        value = pytest.importorskip("pandas").DataFrame(COLUMNS)
    else:
        value = make(COLUMNS)
    rows = trip(value, filename)
    assert [{name: float(cell) for name, cell in row.items()} for row in rows] == COLUMN_ROWS


@pytest.mark.parametrize("filename", ["x.jsonl", "x.csv"])
@pytest.mark.parametrize("value", [3, None, {"y": 1}, {"y": [1, 2], "p": [1]}], ids=repr)
def test_what_are_no_rows_is_refused_with_words(trip, filename, value):
    """An object that is neither rows nor columns is refused."""
    with pytest.raises((TypeError, ValueError)) as caught:
        trip(value, filename)
    assert any(word in str(caught.value) for word in ("rows", "columns"))


def test_csv_rows_that_differ_leave_gaps(trip):
    """Each name in any of the rows is a column."""
    assert trip([{"a": 1}, {"b": 2}], "x.csv") == [{"a": "1", "b": ""}, {"a": "", "b": "2"}]


def test_csv_takes_bare_values(trip):
    """A list of labels is a column called value."""
    assert trip([0, 1, "a,b", 'q"uote', "line\nbreak"], "x.csv") == [
        {"value": cell} for cell in ["0", "1", "a,b", 'q"uote', "line\nbreak"]
    ]


def test_csv_is_what_other_programs_read(tmp_path, trip):
    """The csv module of Python reads it with the defaults."""
    trip(COLUMNS, "x.csv")
    with (tmp_path / "x.csv").open(newline="") as file:
        assert list(csv.reader(file))[:2] == [["y", "p"], ["1", "0.9"]]


@pytest.mark.parametrize("value", ["text", "ünïcödé\n", "\ud800", 3.5, None], ids=ascii)
def test_text_is_the_objects_text(tmp_path, trip, value):
    """Text is written in UTF-8, also what UTF-8 cannot hold."""
    got = trip(value, "x.txt")
    assert got == str(value).encode(errors="backslashreplace").decode()


@pytest.mark.parametrize("filename", ["x.npy", "x.npz"])
def test_numpy_arrays_round_trip(trip, filename):
    """Arrays keep their values, shape and dtype."""
    np = pytest.importorskip("numpy")
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    got = trip(array, filename)
    got = got["arr_0"] if filename.endswith("z") else got
    assert got.dtype == array.dtype
    assert (got == array).all()


def test_several_arrays_round_trip_by_name(trip):
    """Arrays keep their names, also those that are parameters of NumPy's own function."""
    np = pytest.importorskip("numpy")
    arrays = {"y": np.arange(3), "file": np.ones(2), "allow_pickle": np.zeros(1)}
    got = trip(arrays, "x.npz")
    assert set(got) == set(arrays)
    assert all((got[name] == array).all() for name, array in arrays.items())


def test_torch_objects_round_trip(trip):
    """A state dict is read back from a .pt file."""
    torch = pytest.importorskip("torch")
    got = trip({"w": torch.ones(2)}, "x.pt", allow_pickle=True)
    assert got["w"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    "make",
    [
        lambda torch: torch.ones(2, requires_grad=True),
        lambda torch: torch.ones(2, dtype=torch.bfloat16),
        lambda torch: torch.ones(2, dtype=torch.float8_e4m3fn),
        lambda torch: torch.ones(2).to_sparse(),
        lambda torch: [torch.tensor(1.0, requires_grad=True), torch.tensor(1.0, dtype=torch.bfloat16)],
    ],
    ids=["requires_grad", "bfloat16", "float8", "sparse", "list"],
)
@pytest.mark.parametrize("filename", ["x.npy", "x.npz"])
def test_tensors_that_numpy_refuses_are_written_as_their_values(trip, filename, make):
    """Tensors with a gradient, in half precision, or as a list of batches are written as arrays."""
    torch = pytest.importorskip("torch")
    got = trip(make(torch), filename)
    got = got["arr_0"] if filename.endswith("z") else got
    assert got.dtype == "float32"
    assert got.tolist() == [1.0, 1.0]


def test_arrays_of_a_dtype_that_numpy_does_not_have_keep_their_values(trip):
    """JAX's bfloat16 would be read back as pairs of bytes."""
    ml_dtypes = pytest.importorskip("ml_dtypes")
    np = pytest.importorskip("numpy")
    got = trip(np.array([1.0, 0.5], dtype=ml_dtypes.bfloat16), "x.npy")
    assert got.tolist() == [1.0, 0.5]


@pytest.mark.parametrize("filename", ["x", "x.", ".json", "x.xlsx", "x.json.bak", "json"])
def test_other_suffixes_are_unknown(filename):
    """For an unknown suffix the message lists the known ones, and the error is a ValueError."""
    with pytest.raises(UnknownSuffixError, match=r"end the name in one of: \.pkl") as caught:
        formats.format_of(filename)
    assert isinstance(caught.value, ValueError)
    assert ".jsonl" in caught.value.known


@pytest.mark.parametrize(("filename", "raw"), [("x.json", b"{"), ("x.jsonl", b'{"a": 1}\n{"a"\n')])
def test_a_damaged_file_is_named(tmp_path, filename, raw):
    """The error for a damaged file names the file."""
    path = tmp_path / filename
    path.write_bytes(raw)
    with pytest.raises(DamagedFileError, match=filename):
        formats.load(path)


@pytest.mark.parametrize("suffix", [".pkl", ".json", ".jsonl", ".csv", ".npy", ".npz", ".txt"])
def test_a_missing_file_is_a_missing_file(tmp_path, suffix):
    """A missing file is a FileNotFoundError in every format."""
    if suffix.startswith(".np"):
        pytest.importorskip("numpy")
    with pytest.raises(FileNotFoundError):
        formats.load(tmp_path / f"missing{suffix}", allow_pickle=True)


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
def test_numbers_that_are_not_finite_are_floats_again(base, suffix):
    """A score that was NaN is read back as NaN."""
    with experiment({"lr": 0.1}, base_dir=base) as exp:
        exp.save_predictions([{"score": float("nan")}, {"score": 0.5}], f"p{suffix}")
    rows = exp.load_predictions(f"p{suffix}")
    assert math.isnan(rows[0]["score"])
    assert rows[1] == {"score": 0.5}
