"""The history: how its file is read when it is damaged, and every form in which users hand one over."""

from __future__ import annotations

import json
import math
import time
from collections import OrderedDict, defaultdict
from datetime import UTC, datetime, timedelta
from types import MappingProxyType, SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook import DamagedFileError, ExperimentManager, experiment
from runbook.serialize import training_history
from runbook.storage import history, metric_log

try:
    import numpy as np
except ImportError:
    np = None

GOOD = b'{"step": 0, "time": "2026-01-01T00:00:00.000000+00:00", "loss": 0.5}\n'
SECOND = b'{"step": 1, "time": "2026-01-01T00:00:01.000000+00:00", "loss": 0.25}\n'


@pytest.fixture
def read(tmp_path):
    """Reads bytes as a history file."""

    def read(raw):
        path = tmp_path / "history.jsonl"
        path.write_bytes(raw)
        return history.read_rows(path)

    return read


@pytest.mark.parametrize(
    "tail",
    [
        b"",
        b"{",
        b'{"step": 1, "ti',
        SECOND[:-1],
        b"\0",
        b"\0" * 4096,
        b'{"step"\0\0\0\0',
        b'{"loss": "caf\xc3',
        b"\0\0\0\n",
        b"\0" * 100 + b"\n" + b"\0" * 100,
    ],
    ids=["none", "brace", "torn", "no newline", "nul", "page", "torn+nul", "half a letter", "nul line", "nul lines"],
)
def test_what_a_crash_leaves_at_the_end_is_forgiven(read, tail):
    """A torn last line, or NULs where a block was never written; the lines before are all there."""
    assert [row["loss"] for row in read(GOOD + SECOND + tail)] == [0.5, 0.25]


@pytest.mark.parametrize(
    ("raw", "number"),
    [
        (b"garbage\n" + GOOD, 1),
        (GOOD + b'{"step": 1, "ti\n' + SECOND, 2),
        (GOOD + SECOND + b"not json\n", 3),
        (GOOD + b"[1, 2]\n" + SECOND, 2),
        (GOOD + b"3\n" + SECOND, 2),
        (GOOD + b"\0\0\0\n" + SECOND, 2),
        (GOOD + b"\xff\xfe\n" + SECOND, 2),
        (GOOD + b'{"a": ' * 100_000 + b"\n" + SECOND, 2),
    ],
    ids=["first", "torn middle", "last", "list", "number", "nul middle", "not utf-8", "deep"],
)
def test_damage_anywhere_else_is_reported_with_its_line(read, raw, number, tmp_path):
    """The file and the line are named, and nothing is passed over in silence."""
    with pytest.raises(DamagedFileError, match=f"line {number}") as caught:
        read(raw)
    assert caught.value.path == str(tmp_path / "history.jsonl")


def test_no_file_and_an_empty_file_are_an_empty_history(read, tmp_path):
    """Nothing was logged."""
    assert history.read_rows(tmp_path / "nothing.jsonl") == []
    assert read(b"") == []


def test_columns_have_none_where_a_row_lacks_the_metric():
    """Step and time first, then the metrics as they first came up; each column as long as the rows."""
    columns = history.columns([{"step": 0, "time": "a", "x": 1}, {"step": 1, "time": "b", "y": "NaN"}])
    assert list(columns) == ["step", "time", "x", "y"]
    assert columns["x"] == [1, None]
    assert columns["y"][0] is None
    assert math.isnan(columns["y"][1])


def test_no_rows_are_two_empty_columns():
    """`history()["step"]` can be asked before anything was logged."""
    assert history.columns([]) == {"step": [], "time": []}


def test_gaps_round_trip_through_the_disk(base):
    """As a user meets it."""
    with experiment({"lr": 0.1}, base_dir=base) as exp:
        exp.log(loss=1.0)
        exp.log(val_loss=2.0)
        exp.log(loss=float("inf"), val_loss=None)
    found = ExperimentManager(base).get_experiment(exp.id).history()
    assert found["loss"] == [1.0, None, math.inf]
    assert found["val_loss"] == [None, 2.0, None]


def test_a_running_experiment_can_be_read_between_two_lines(base):
    """Whoever reads while another writes sees whole lines only."""
    manager = ExperimentManager(base)
    with experiment({"lr": 0.1}, base_dir=base) as exp:
        for n in range(3):
            exp.log(n=n)
            assert manager.get_experiment(exp.id).history()["n"] == list(range(n + 1))


numbers = st.floats() | st.integers(-(2**70), 2**70) | st.booleans() | st.none()
names = st.text(st.characters(codec="utf-8"), max_size=12).filter(lambda name: name not in {"step", "time"})


@given(st.lists(st.dictionaries(names, numbers, max_size=4), max_size=6))
def test_whatever_is_logged_is_read_back(tmp_path_factory, rows):
    """Names of any script and all numbers, in their order, at consecutive steps."""
    path = tmp_path_factory.mktemp("history") / "history.jsonl"
    path.touch()

    def append(line):
        with path.open("ab") as file:
            file.write(line)

    log = metric_log.MetricLog(append)
    for row in rows:
        log.log(row, None)
    found = history.columns(history.read_rows(path))
    assert found["step"] == list(range(len(rows)))
    for name in {name for row in rows for name in row}:
        for got, row in zip(found[name], rows, strict=True):
            want = row.get(name)
            assert got == want or (got != got and want != want)


# --- as_columns ------------------------------------------------------------------------------------------------------


class KerasHistory:
    """What `model.fit` of Keras returns, as far as we look at it."""

    def __init__(self):
        self.history = {"loss": [1.0, 0.5], "val_loss": [1.5, 0.75]}
        self.epoch = [0, 1]
        self.params = {"epochs": 2}
        self.model = object()


COLUMNS = {"loss": [1.0, 0.5], "val_loss": [1.5, 0.75]}


@pytest.mark.parametrize(
    "given_",
    [
        {"loss": [1.0, 0.5], "val_loss": [1.5, 0.75]},
        OrderedDict(loss=(1.0, 0.5), val_loss=(1.5, 0.75)),
        MappingProxyType({"loss": [1.0, 0.5], "val_loss": [1.5, 0.75]}),
        defaultdict(list, loss=[1.0, 0.5], val_loss=[1.5, 0.75]),
        [{"loss": 1.0, "val_loss": 1.5}, {"loss": 0.5, "val_loss": 0.75}],
        ({"loss": 1.0, "val_loss": 1.5}, {"loss": 0.5, "val_loss": 0.75}),
        KerasHistory(),
        SimpleNamespace(history={"loss": [1.0, 0.5], "val_loss": [1.5, 0.75]}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_form_of_a_history_becomes_columns(given_):
    """A dict of lists, a list of dicts, a Keras `History`."""
    assert training_history.as_columns(given_) == COLUMNS


def test_a_data_frame_becomes_columns():
    """As `pandas.read_csv("log.csv")` gives it."""
    pd = pytest.importorskip("pandas")
    assert training_history.as_columns(pd.DataFrame(COLUMNS)) == COLUMNS


def test_numpy_columns_become_lists():
    """With NaN as the string that strict JSON has for it."""
    np = pytest.importorskip("numpy")
    assert training_history.as_columns({"loss": np.array([1.0, np.nan], dtype=np.float32)}) == {"loss": [1.0, "NaN"]}


def test_rows_that_lack_a_metric_leave_a_gap():
    """Validation every second epoch is common."""
    assert training_history.as_columns([{"loss": 1}, {"loss": 2, "val": 3}, {}]) == {
        "loss": [1, 2, None],
        "val": [None, 3, None],
    }


@pytest.mark.parametrize("given_", [{}, [], ()])
def test_an_empty_history_is_empty(given_):
    """Nothing was trained, and that is no error."""
    assert training_history.as_columns(given_) == {}


@pytest.mark.parametrize(
    "given_", [3, 0.5, "loss", [1, 2], [{"loss": 1}, 2], object(), b"x", {1, 2}], ids=lambda value: type(value).__name__
)
def test_what_is_no_history_is_refused_with_the_forms_that_are(given_):
    """The message names the type and what could be passed."""
    with pytest.raises(TypeError, match=f"type {type(given_).__name__} .*a dict of lists, a list of dicts or a Keras"):
        training_history.as_columns(given_)


def test_nothing_folds_the_live_log(base):
    """`save_training_history()` writes what was logged, as columns, as strict JSON."""
    with experiment({"lr": 0.1}, base_dir=base) as exp:
        exp.log(loss=1.0, step=0)
        exp.log(loss=float("nan"), step=5)
        path = exp.save_training_history()
    saved = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert saved["step"] == [0, 5]
    assert saved["loss"] == [1.0, "NaN"]
    assert math.isnan(ExperimentManager(base).get_experiment(exp.id).load_metrics("training_history")["loss"][1])


NUMBERS = st.floats() | st.integers() | st.booleans()
if np is not None:
    NUMBERS |= st.floats(width=32).map(np.float32) | st.floats().map(np.float64)


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["loss", "val/loss", "a.b", "é", "step", "time", '"']), NUMBERS | st.none(), max_size=4
        ),
        max_size=6,
    ),
    st.sampled_from([None, 3, 2.5, True, 2**70]),
)
def test_a_line_is_the_same_whether_its_names_were_logged_before_or_not(rows, step):
    """Plain numbers under known names take a faster path, which makes no difference in the file."""
    lines: list[bytes] = []
    log = metric_log.MetricLog(lines.append)
    for row in rows:
        log.log(row, step)
        log.log(row, step)
        fresh: list[bytes] = []
        anew = metric_log.MetricLog(fresh.append)
        anew.continue_from([json.loads(lines[-2])])
        anew.log(row, step)
        known, first = json.loads(lines[-1]), json.loads(fresh[0])
        assert list(known) == list(first)
        assert {**known, "time": None} == {**first, "time": None}
        datetime.fromisoformat(known["time"])
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in lines)


@pytest.mark.slow
def test_the_time_of_a_line_is_now():
    """To the microsecond, in UTC, across the turn of a second."""
    lines: list[bytes] = []
    log = metric_log.MetricLog(lines.append)
    end = time.monotonic() + 1.1
    before = datetime.now(UTC)
    while time.monotonic() < end:
        log.log({"loss": 1.0}, None)
        if len(lines) > 1:
            time.sleep(0.05)
    times = [datetime.fromisoformat(json.loads(line)["time"]) for line in lines]
    assert times == sorted(times)
    assert before <= times[0] and times[-1] <= datetime.now(UTC)
    assert times[-1] - times[0] > timedelta(seconds=0.9)
