"""The live experiment: what each of its methods writes, gives back and refuses."""

from __future__ import annotations

import json
import math
import os
import pickle
import signal
import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType

import pytest

from runbook import (
    ExperimentManager,
    InvalidNameError,
    Status,
    UnknownStatusError,
    UnknownSuffixError,
    experiment,
    messages,
)
from runbook.storage import files


@pytest.fixture
def exp(base):
    """A running experiment."""
    with experiment({"lr": 0.1}, base_dir=base) as running:
        yield running


def strict(path):
    """The data in a file that holds nothing but strict JSON."""

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def lines_of(exp):
    return [json.loads(line) for line in (exp.metrics_dir / "history.jsonl").read_text(encoding="utf-8").splitlines()]


class Broken:
    """An object that refuses to be looked at."""

    def __repr__(self):
        raise RuntimeError("no")

    __str__ = __repr__


# --- log -------------------------------------------------------------------------------------------------------------


def test_a_line_is_in_the_file_when_log_returns(exp):
    """Step, a UTC time and the metrics; nothing waits in a buffer of this process."""
    before = datetime.now(UTC)
    exp.log({"loss": 0.3, "val/loss": 0.4}, step=10)
    (line,) = lines_of(exp)
    assert list(line) == ["step", "time", "loss", "val/loss"]
    assert (line["step"], line["loss"], line["val/loss"]) == (10, 0.3, 0.4)
    moment = datetime.fromisoformat(line["time"])
    assert moment.utcoffset().total_seconds() == 0
    assert before <= moment <= datetime.now(UTC)


def test_metrics_come_as_a_mapping_by_name_or_both(exp):
    """`log(loss=…)` and `log({"loss": …})` are the same; names that we use inside are free."""
    exp.log(loss=1)
    exp.log({"loss": 2}, acc=3)
    exp.log(self=4, metrics=5, name=6)
    exp.log({"loss": 7}, loss=8)
    assert [{key: value for key, value in line.items() if key not in {"step", "time"}} for line in lines_of(exp)] == [
        {"loss": 1},
        {"loss": 2, "acc": 3},
        {"self": 4, "metrics": 5, "name": 6},
        {"loss": 8},
    ]


@pytest.mark.parametrize("make", [dict, OrderedDict, MappingProxyType, pytest.param("series", id="pandas.Series")])
def test_any_mapping_can_be_logged(exp, make):
    """Whatever has keys and items."""
    if make == "series":
        make = pytest.importorskip("pandas").Series
    exp.log(make({"loss": 0.5, "acc": 0.25}))
    assert lines_of(exp)[0]["loss"] == 0.5
    assert lines_of(exp)[0]["acc"] == 0.25


@pytest.mark.parametrize("metrics", [0.3, "loss", ["loss", 1], [("loss", 1)]])
def test_metrics_without_names_are_a_warning_and_cost_no_training(exp, metrics, caplog, monkeypatch):
    """The message asks for a mapping; the named metrics are logged all the same."""
    monkeypatch.setattr(messages, "_logged", set())
    exp.log(metrics, loss=1)
    assert "pass a mapping" in caplog.text
    assert [line["loss"] for line in lines_of(exp)] == [1]


def test_nested_metrics_get_dotted_names(exp):
    """Mappings at any depth become columns."""
    exp.log({"val": {"loss": 1, "by": {"group": 2}}, "val.loss": 3})
    (line,) = lines_of(exp)
    assert line["val.by.group"] == 2
    assert sorted(value for key, value in line.items() if "loss" in key) == [1, 3]


@pytest.mark.parametrize(
    ("value", "back"),
    [
        (float("inf"), math.inf),
        (float("-inf"), -math.inf),
        (1e308, 1e308),
        (5e-324, 5e-324),
        (2**64, 2**64),
        (-(2**70), -(2**70)),
        (True, True),
        (None, None),
        ("text", "text"),
        ([1, 2.5], [1, 2.5]),
        (Decimal("0.5"), 0.5),
        ("\ud800", "\\ud800"),
    ],
    ids=repr,
)
def test_values_come_back_as_they_went_in(exp, value, back):
    """The file is strict JSON whatever is logged, and `history()` restores the floats."""
    exp.log(x=value)
    got = exp.history()["x"][0]
    assert got == back or str(got) == str(back) or got == str(value)
    strict(exp.metrics_dir / "history.jsonl")


def test_nan_comes_back_as_nan(exp):
    """Users need to see that a loss has diverged."""
    exp.log(loss=float("nan"))
    assert math.isnan(exp.history()["loss"][0])
    assert lines_of(exp)[0]["loss"] == "NaN"


def test_numpy_values_are_numbers(exp):
    """Scalars as they come out of a metric function, and arrays as lists."""
    np = pytest.importorskip("numpy")
    exp.log(
        {
            "f32": np.float32(0.5),
            "i64": np.int64(3),
            "bool": np.bool_(True),
            "nan": np.float64("nan"),
            "zero": np.array(1.5),
            "list": np.array([1, 2]),
        },
        step=np.int64(7),
    )
    history = exp.history()
    assert {name: history[name] for name in ("step", "f32", "i64", "bool", "zero", "list")} == {
        "step": [7],
        "f32": [0.5],
        "i64": [3],
        "bool": [True],
        "zero": [1.5],
        "list": [[1, 2]],
    }
    assert math.isnan(history["nan"][0])
    assert type(history["step"][0]) is int


@pytest.mark.parametrize(
    "value",
    [
        object(),
        Broken(),
        lambda: 1,
        {1, 2},
        b"bytes",
        Path("x"),
        10**5000,
        Fraction(1, 3),
        {1: {2: 3}},
        {"a": Broken()},
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_that_has_no_json_does_not_end_a_training(exp, value):
    """The line is written, is valid JSON, and has the other metrics in it."""
    exp.log({"odd": value, "loss": 0.5})
    assert exp.history()["loss"] == [0.5]
    strict(exp.metrics_dir / "history.jsonl")


def test_a_value_that_holds_itself_does_not_end_a_training(exp):
    """Cycles come to an end."""
    cycle = {"loss": 1}
    cycle["self"] = cycle
    exp.log(cycle)
    assert exp.history()["loss"] == [1]


def test_steps_count_up_where_none_are_given(exp):
    """From zero, and on from the last one that was given."""
    for step in (None, None, 10, None, 10, 5, None, 0.5, None, -3, None):
        exp.log(x=1, step=step)
    assert exp.history()["step"] == [0, 1, 10, 11, 10, 5, 6, 0.5, 1.5, -3, -2]


def test_a_step_may_stand_among_the_metrics(exp):
    """`log({"step": 3, …})` sets the step; together with `step=` it is a metric."""
    exp.log({"step": 3, "loss": 1})
    exp.log({"step": 4, "loss": 1}, step=9)
    history = exp.history()
    assert history["step"] == [3, 9]
    assert history["step_"] == [None, 4]


def test_a_metric_called_time_is_kept_beside_ours(exp):
    """`time` is when it was logged; nothing that was logged is dropped, whatever it was called."""
    exp.log({"time": 1.5, "time_": 2.5, "loss": 1})
    (line,) = lines_of(exp)
    assert datetime.fromisoformat(line["time"])
    assert sorted(value for key, value in line.items() if key.startswith("time") and key != "time") == [1.5, 2.5]


@pytest.mark.parametrize(
    "step",
    ["10", float("nan"), math.inf, [1], object(), Broken(), 10**5000, {"a": 1}],
    ids=["text", "nan", "inf", "list", "object", "broken", "huge", "dict"],
)
def test_a_step_that_is_no_number_is_a_warning_and_counts_up(exp, step, caplog, monkeypatch):
    """The metrics of the line are kept, and the training goes on."""
    monkeypatch.setattr(messages, "_logged", set())
    exp.log(x=1, step=4)
    exp.log(x=2, step=step)
    exp.log(x=3)
    assert exp.history()["step"] == [4, 5, 6]
    assert exp.history()["x"] == [1, 2, 3]
    assert "is no number" in caplog.text


def test_large_steps_stay_exact(exp):
    """Beyond what a float can hold."""
    exp.log(x=1, step=2**60 + 1)
    exp.log(x=1)
    assert exp.history()["step"] == [2**60 + 1, 2**60 + 2]


def test_an_empty_log_is_a_line(exp):
    """A step without metrics is a step."""
    exp.log({})
    exp.log()
    assert exp.history()["step"] == [0, 1]


def test_names_can_be_any_text(exp):
    """Spaces, slashes, newlines, other scripts: one line each, and found again."""
    names = ["val loss", "a/b", "line\nbreak", "損失", "", 'quote"', "nul\0", "\u2028"]
    exp.log(dict.fromkeys(names, 1))
    assert len((exp.metrics_dir / "history.jsonl").read_bytes().splitlines()) == 1
    assert set(names) <= set(exp.history())


def test_log_may_be_called_by_many_threads_at_once(exp):
    """No line is lost, torn or mixed, and no step is given twice."""
    gate = threading.Barrier(8)

    def work(number):
        gate.wait(30)
        for n in range(100):
            exp.log({"thread": number, "n": n, "filler": "x" * 200})

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    history = exp.history()
    assert sorted(history["step"]) == list(range(800))
    assert history["step"] == sorted(history["step"])
    for number in range(8):
        own = [n for n, thread in zip(history["n"], history["thread"], strict=True) if thread == number]
        assert own == list(range(100))


def test_the_last_logged_values_are_the_metrics_where_none_were_saved(base):
    """So that a run that only logged can be sorted and compared."""
    with experiment({"lr": 0.1}, base_dir=base) as exp:
        exp.log(loss=0.9, acc=0.1)
        exp.log(loss=0.5, note="x")
    (entry,) = ExperimentManager(base).list_experiments()
    assert entry["metrics"] == {"loss": 0.5, "acc": 0.1}


# --- save_* ----------------------------------------------------------------------------------------------------------


def test_every_save_gives_its_file(exp, tmp_path):
    """Each under the legacy name, there when the call returns."""
    rationales = tmp_path / "eraser.jsonl"
    rationales.write_text('{"annotation_id": "1"}\n')
    expected = {
        exp.save_training_history({"loss": [1, 0.5]}): "metrics/training_history.json",
        exp.save_predictions([1, 2]): "results/test_predictions.pkl",
        exp.save_bias_metrics({"gmb": 0.8}, {"women": 0.7}): "metrics/bias_metrics.json",
        exp.save_xai_metrics({"comprehensiveness": 0.4}): "metrics/xai_metrics.json",
        exp.save_eraser_results(rationales): "results/eraser_formatted_results.jsonl",
        exp.save_final_metrics({"f1": 0.9}): "metrics/final_summary.json",
        exp.save_metrics("calibration", {"ece": 0.1}): "metrics/calibration.json",
        exp.save_artifact(b"x", "plot.png"): "results/plot.png",
    }
    assert {path.relative_to(exp.path).as_posix() for path in expected} == set(expected.values())
    assert all(path.is_file() for path in expected)
    assert strict(exp.metrics_dir / "bias_metrics.json") == {
        "gmb_metrics": {"gmb": 0.8},
        "bias_details": {"women": 0.7},
    }
    assert strict(exp.metrics_dir / "xai_metrics.json") == {"comprehensiveness": 0.4}
    assert strict(exp.metrics_dir / "training_history.json") == {"loss": [1, 0.5]}
    assert pickle.loads((exp.results_dir / "test_predictions.pkl").read_bytes()) == [1, 2]
    assert (exp.results_dir / "eraser_formatted_results.jsonl").read_bytes() == rationales.read_bytes()


def test_save_replaces_whole(exp):
    """The second call leaves nothing of the first, and no temporary file."""
    exp.save_metrics("m", {"a": 1, "long": "x" * 1000})
    exp.save_metrics("m", {"b": 2})
    assert strict(exp.metrics_dir / "m.json") == {"b": 2}
    exp.save_artifact(b"x" * 1000, "f.bin")
    exp.save_artifact(b"y", "f.bin")
    assert (exp.results_dir / "f.bin").read_bytes() == b"y"
    assert {path.name for path in exp.results_dir.iterdir()} == {"f.bin"}
    assert {path.name for path in exp.metrics_dir.iterdir()} == {"m.json"}


def test_final_metrics_show_in_the_registry_at_once(exp, base, registry_of):
    """Flat with dotted names; the file keeps them nested; the caller's dict stays as it was."""
    metrics = {"f1": 0.9, "gmb": {"subgroup": 0.8, "curve": [1, 2]}, "model": "bert", "bad": float("nan")}
    copy = {**metrics, "gmb": {**metrics["gmb"]}}
    exp.save_final_metrics(metrics)
    assert registry_of(base)[0]["metrics"] == {"f1": 0.9, "gmb.subgroup": 0.8, "bad": "NaN"}
    assert strict(exp.metrics_dir / "final_summary.json") == {
        "f1": 0.9,
        "gmb": {"subgroup": 0.8, "curve": [1, 2]},
        "model": "bert",
        "bad": "NaN",
    }
    assert {**metrics, "bad": 0} == {**copy, "bad": 0}
    assert metrics["gmb"] == copy["gmb"]


def test_final_metrics_are_replaced_whole(exp, base, registry_of):
    """A number of the first call that the second lacks is gone, in the file and in the registry."""
    exp.save_final_metrics({"f1": 0.9, "old": 1})
    exp.save_metrics("final_summary", {"f1": 0.8})
    assert registry_of(base)[0]["metrics"] == {"f1": 0.8}
    assert strict(exp.metrics_dir / "final_summary.json") == {"f1": 0.8}


def test_final_metrics_go_before_logged_ones(base):
    """What was saved as final is final."""
    with experiment({"lr": 0.1}, base_dir=base) as exp:
        exp.log(f1=0.1, loss=2)
        exp.save_final_metrics({"f1": 0.9})
        exp.log(f1=0.2)
    assert ExperimentManager(base).list_experiments()[0]["metrics"] == {"f1": 0.9}


@pytest.mark.parametrize("metrics", [None, 0.9, "f1", [0.9], [("f1", 0.9)]], ids=repr)
@pytest.mark.parametrize("method", ["save_final_metrics", "save_metrics"])
def test_metrics_without_names_are_refused(exp, method, metrics):
    """The message names the type and shows what to pass; what was there stays."""
    arguments = ("m", metrics) if method == "save_metrics" else (metrics,)
    with pytest.raises(TypeError, match=f"metrics of type {type(metrics).__name__}.*pass a mapping"):
        getattr(exp, method)(*arguments)
    assert list(exp.metrics_dir.iterdir()) == []


def test_metrics_can_be_any_carrier_of_names(exp):
    """A dataclass of results is as good as a dict."""

    @dataclass
    class Result:
        f1: float
        acc: float

    exp.save_final_metrics(Result(0.9, 0.8))
    assert exp.metrics == {"f1": 0.9, "acc": 0.8}


BAD_NAMES = ["", ".", "..", "../evil", "a/b", "/abs", "a\\b", "nul\0", "line\n", "CON", "nul", ".hidden", "x" * 65, "é"]


@pytest.mark.parametrize("name", BAD_NAMES, ids=ascii)
def test_a_name_that_is_no_file_name_everywhere_is_refused(exp, tmp_path, name):
    """Nothing is written anywhere, and the message ends in a name that would do."""
    before = sorted(tmp_path.rglob("*"))
    for call in (
        lambda name: exp.save_metrics(name, {"a": 1}),
        lambda name: exp.save_predictions([1], name),
        lambda name: exp.save_artifact(b"x", name or "/"),
    ):
        with pytest.raises(InvalidNameError, match="use for example '.+'") as caught:
            call(name)
        assert caught.value.suggestion
        suggested = caught.value.suggestion
        assert exp.save_metrics(suggested, {"a": 1}).parent == exp.metrics_dir
        (exp.metrics_dir / f"{suggested}.json").unlink()
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("filename", ["predictions", "predictions.unknown", "x.tar.gz"])
def test_a_suffix_that_names_no_format_is_refused(exp, filename):
    """The message lists the suffixes that are known."""
    with pytest.raises(UnknownSuffixError, match=r"\.pkl.*\.json.*\.csv") as caught:
        exp.save_predictions([1], filename)
    assert caught.value.filename == filename
    assert list(exp.results_dir.iterdir()) == []


def test_an_object_that_cannot_be_written_leaves_what_was_there(exp):
    """No half a file, no temporary one; the error is the object's own."""
    exp.save_predictions([1, 2])
    before = (exp.results_dir / "test_predictions.pkl").read_bytes()
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        exp.save_predictions([1, threading.Lock()])
    assert (exp.results_dir / "test_predictions.pkl").read_bytes() == before
    assert {path.name for path in exp.results_dir.iterdir()} == {"test_predictions.pkl"}


@pytest.mark.parametrize("method", ["save_artifact", "save_eraser_results"])
def test_a_path_where_nothing_is_is_named(exp, method, tmp_path, monkeypatch):
    """With the working directory, which is the usual reason."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="missing.jsonl") as caught:
        getattr(exp, method)("missing.jsonl")
    assert str(tmp_path) in str(caught.value)
    assert list(exp.results_dir.iterdir()) == []


@pytest.mark.parametrize("kind", [str, Path])
def test_an_artifact_can_be_a_file(exp, tmp_path, kind):
    """Copied under its own name, or under another one."""
    source = tmp_path / "plot.png"
    source.write_bytes(b"\x89PNG")
    assert exp.save_artifact(kind(source)) == exp.results_dir / "plot.png"
    assert exp.save_artifact(kind(source), "other.png") == exp.results_dir / "other.png"
    source.write_bytes(b"changed")
    assert (exp.results_dir / "plot.png").read_bytes() == b"\x89PNG"
    assert (exp.results_dir / "other.png").read_bytes() == b"\x89PNG"


def test_an_artifact_can_be_a_folder(exp, tmp_path):
    """Copied whole; a second copy replaces the first whole."""
    source = tmp_path / "tokenizer"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "vocab.txt").write_text("a")
    target = exp.save_artifact(source)
    assert (target / "deep" / "vocab.txt").read_text() == "a"
    (source / "deep" / "vocab.txt").rename(source / "merges.txt")
    assert exp.save_artifact(source) == target
    assert sorted(path.name for path in target.rglob("*")) == ["deep", "merges.txt"]
    assert [path.name for path in exp.results_dir.iterdir()] == ["tokenizer"]


def test_a_folder_that_holds_the_experiment_itself_can_be_an_artifact(tmp_path):
    """Saving the project's folder, with its `experiments` in it, ends, and copies nothing of the copy."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "train.py").write_text("print(1)")
    with experiment({"lr": 0.1}, base_dir=project / "experiments") as exp:
        target = exp.save_artifact(project, "code")
    assert (target / "train.py").read_text() == "print(1)"
    assert [path for path in target.rglob("train.py") if path != target / "train.py"] == []


@pytest.mark.parametrize(
    ("value", "name", "content"),
    [
        (b"\0\1", "x.bin", b"\0\1"),
        (bytearray(b"ab"), "x.anything", b"ab"),
        ({"a": float("nan")}, "x.json", b'{\n  "a": "NaN"\n}\n'),
        ([{"a": 1}, {"a": 2}], "x.jsonl", b'{"a": 1}\n{"a": 2}\n'),
        ([{"a": 1}, {"a": 2}], "x.csv", b"a\r\n1\r\n2\r\n"),
        (3.5, "x.txt", b"3.5"),
    ],
    ids=["bytes", "bytearray", "json", "jsonl", "csv", "txt"],
)
def test_an_artifact_can_be_an_object(exp, value, name, content):
    """In the format of the suffix; bytes as they are."""
    assert exp.save_artifact(value, name).read_bytes() == content


def test_an_object_without_a_name_has_no_format(exp):
    """The message lists the known suffixes."""
    with pytest.raises(UnknownSuffixError, match="end the name in one of"):
        exp.save_artifact({"a": 1})


# --- notes, tags, finish ---------------------------------------------------------------------------------------------


def test_notes_add_up(base, registry_of):
    """One note a line, on disk at once; the notes of the ending come last."""
    with experiment({"lr": 0.1}, base_dir=base) as exp:
        exp.note("first")
        assert registry_of(base)[0]["notes"] == "first"
        exp.note("second")
        exp.note("")
        exp.finish("completed", "third")
    assert registry_of(base)[0]["notes"] == "first\nsecond\nthird"


@pytest.mark.parametrize("note", [0.93, None, ["a"], Path("x"), {"f1": 1}], ids=repr)
def test_a_note_that_is_no_string_does_not_end_a_training(exp, note):
    """It is written as its text, as a name or a tag would be."""
    exp.note(note)
    exp.note("after")
    assert exp.notes.endswith("after")
    if note is not None:
        assert str(note) in exp.notes


def test_tags_add_up_and_come_once(exp, base, registry_of):
    """In the order in which they came."""
    exp.add_tags("b", "a")
    exp.add_tags("a", "c")
    exp.add_tags()
    assert exp.tags == ("b", "a", "c")
    assert registry_of(base)[0]["tags"] == ["b", "a", "c"]


def test_notes_and_tags_may_come_from_many_threads(exp):
    """None is lost."""
    gate = threading.Barrier(4)

    def work(number):
        gate.wait(30)
        for n in range(5):
            exp.note(f"{number}-{n}")
            exp.add_tags(f"{number}-{n}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = {f"{number}-{n}" for number in range(4) for n in range(5)}
    assert set(exp.notes.split("\n")) == expected
    assert set(exp.tags) == expected


@pytest.mark.parametrize("status", ["running", "unknown", "done", "", "COMPLETED", None, 3])
def test_finish_refuses_what_is_no_ending(exp, status):
    """The message lists the statuses; the experiment keeps running."""
    with pytest.raises(UnknownStatusError, match="completed, failed, interrupted"):
        exp.finish(status)
    assert (exp.status, exp.is_ended) == (Status.RUNNING, False)


def test_finish_writes_the_ending_at_once(exp, base, registry_of):
    """Status, reason and time stand in the record and in the registry when it returns."""
    exp.finish("failed", "diverged")
    entry = registry_of(base)[0]
    assert (entry["status"], entry["end_reason"], entry["notes"]) == ("failed", "marked", "diverged")
    assert datetime.fromisoformat(entry["completed_at"]).utcoffset().total_seconds() == 0
    record = strict(exp.path / "experiment.json")
    assert (record["status"], record["completed_at"]) == ("failed", entry["completed_at"])
    assert record["attempts"][-1]["end_reason"] == "marked"
    assert exp.is_ended


def test_finish_can_be_corrected(exp, base, registry_of):
    """The last call counts."""
    exp.finish("completed")
    exp.finish("failed")
    assert registry_of(base)[0]["status"] == "failed"


def test_an_ended_experiment_can_still_be_added_to(base, registry_of):
    """What comes between `finish` and the end of the block is kept, and so is the status."""
    with experiment({"lr": 0.1}, base_dir=base) as exp:
        exp.finish("interrupted")
        exp.log(loss=1)
        exp.note("late")
        exp.save_final_metrics({"f1": 0.5})
    entry = registry_of(base)[0]
    assert (entry["status"], entry["notes"], entry["metrics"]) == ("interrupted", "late", {"f1": 0.5})
    assert exp.history()["loss"] == [1]


def test_the_handle_shows_itself(exp):
    """Its repr names the id and the status."""
    assert exp.id in repr(exp)
    assert "running" in repr(exp)


@pytest.mark.parametrize("attribute", ["id", "name", "path", "status", "config", "tags", "notes", "metrics"])
def test_what_is_recorded_cannot_be_set_past_the_record(exp, attribute):
    """An assignment would be lost, so it is an error."""
    with pytest.raises(AttributeError):
        setattr(exp, attribute, "x")


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="this system has no SIGUSR1")
@pytest.mark.parametrize("file", ["experiment.json", "experiment_registry.json"])
def test_an_ending_given_by_a_signal_handler_during_a_write_is_kept(tmp_path, monkeypatch, file):
    replace, waiting = files._replace, [file]

    def interrupted(source, target):
        if waiting and os.path.basename(target) == waiting[0]:
            waiting.clear()
            signal.raise_signal(signal.SIGUSR1)
        replace(source, target)

    with experiment({}, base_dir=tmp_path) as exp:
        before = signal.signal(signal.SIGUSR1, lambda *_: exp.finish("interrupted", "preempted"))
        try:
            monkeypatch.setattr(files, "_replace", interrupted)
            exp.save_final_metrics({"f1": 0.5})
        finally:
            signal.signal(signal.SIGUSR1, before)

    assert not waiting
    record = json.loads((exp.path / "experiment.json").read_bytes())
    line = json.loads((tmp_path / "experiment_registry.json").read_bytes())["experiments"][0]
    for kept in (record, line):
        assert (kept["status"], kept["end_reason"], kept["notes"]) == ("interrupted", "marked", "preempted")
        assert kept["metrics"] == {"f1": 0.5}


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="this system has no SIGUSR1")
def test_a_signal_handler_logs_in_the_midst_of_a_log(tmp_path, monkeypatch):
    append, waiting = files.LineLog.append, [True]

    def interrupted(self, line):
        if waiting:
            waiting.clear()
            signal.raise_signal(signal.SIGUSR1)
        append(self, line)

    monkeypatch.setattr(files.LineLog, "append", interrupted)
    with experiment({}, base_dir=tmp_path) as exp:
        # Without a lock that its own thread may take again, the handler would wait for ever.
        before = signal.signal(signal.SIGUSR1, lambda *_: exp._log._lock.acquire(timeout=1) and exp.log(preempted=1))
        try:
            exp.log(loss=0.5)
        finally:
            signal.signal(signal.SIGUSR1, before)

    assert exp.history()["preempted"] == [1, None]
