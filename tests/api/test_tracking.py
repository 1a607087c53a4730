"""The block: `with experiment(...)`, and everything being a no-op when tracking is disabled."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from runbook import (
    BaseDirectoryError,
    ConfigError,
    EndReason,
    Experiment,
    ExperimentManager,
    Status,
    UnknownStatusError,
    UsageError,
    current_experiment,
    experiment,
    tracked,
)

NAMES = [
    "baseline",
    "",
    " ",
    ".",
    "..",
    "../evil",
    "../../../../etc/passwd",
    "/abs",
    "a/b",
    "a\\b",
    "C:\\windows",
    "CON",
    "nul.txt",
    "line\nbreak",
    "nul\0byte",
    "trailing.",
    "-rf",
    ".hidden",
    "\u202egnp.exe",
    "\x1b[31mred\x1b[0m",
    "näme mit ümlaut",
    "実験",
    "🧪",
    "x" * 5000,
    "undecodable \udcff byte",
    "'; DROP TABLE experiments; --",
    "$(touch evil)",
    '{"experiment_id": "x"}',
]


def record_of(path: Path) -> dict:
    return json.loads((path / "experiment.json").read_text(encoding="utf-8"))


# --- the block -------------------------------------------------------------------------------------------------------


def test_the_folder_is_whole_when_the_block_begins(base):
    """A new folder has all its initial files before the first line of the block runs."""
    with experiment({"lr": 0.1}, base_dir=base) as exp:
        names = {entry.name for entry in exp.path.iterdir()}
        assert {"experiment.json", "config.json", "checkpoints", "results", "metrics", "logs"} <= names
        assert json.loads((exp.path / "config.json").read_text()) == {"lr": 0.1}
        assert record_of(exp.path)["status"] == "running"
        assert (exp.logs_dir / "environment.json").is_file()


def test_the_handle_has_its_paths(base):
    """Each folder is a `pathlib.Path` below the experiment's own."""
    with experiment({"lr": 0.1}, base_dir=base) as exp:
        assert exp.path == base / exp.id
        for attribute, name in [
            ("checkpoints_dir", "checkpoints"),
            ("results_dir", "results"),
            ("metrics_dir", "metrics"),
            ("logs_dir", "logs"),
        ]:
            assert isinstance(getattr(exp, attribute), Path)
            assert getattr(exp, attribute) == exp.path / name
            assert getattr(exp, attribute).is_dir()


def test_nothing_exists_before_the_block_is_entered(base):
    """Calling `experiment` checks, entering makes."""
    experiment({"lr": 0.1}, base_dir=base)
    assert not base.exists()


def test_every_option_is_recorded(base, registry_of):
    """Name, description and tags stand in the record and in the registry, exactly as given."""
    with experiment(
        {"lr": 0.1}, name="My Baseline", description="as it is", tags=["a", "b", "a"], base_dir=base
    ) as exp:
        assert (exp.name, exp.description, exp.tags) == ("My Baseline", "as it is", ("a", "b"))
    (entry,) = registry_of(base)
    assert entry["custom_name"] == "My Baseline"
    assert entry["description"] == "as it is"
    assert entry["tags"] == ["a", "b"]
    assert record_of(exp.path)["tags"] == ["a", "b"]


def test_one_string_is_one_tag(base):
    """`tags="baseline"` does not mean eight letters."""
    with experiment({"lr": 0.1}, tags="baseline", base_dir=base) as exp:
        assert exp.tags == ("baseline",)


def test_hash_exclude_leaves_a_setting_out_of_the_hash(base):
    """Two runs that differ only in what does not count have the same hash."""
    hashes = []
    for seed in (1, 2):
        with experiment({"lr": 0.1, "seed": seed}, hash_exclude=["seed"], base_dir=base) as exp:
            hashes.append(exp.id[-8:])
    assert hashes[0] == hashes[1]


def test_a_block_without_a_config_has_an_empty_one(base):
    """A script need not have settings."""
    with experiment(base_dir=base) as exp:
        assert exp.config == {}
    assert json.loads((exp.path / "config.json").read_text()) == {}


@pytest.mark.parametrize("name", NAMES, ids=[ascii(name)[:24] for name in NAMES])
def test_any_string_is_a_name_and_none_escapes(tmp_path, name):
    """The folder lies directly in the base directory whatever the name, and the name is found again."""
    base = tmp_path / "deep" / "experiments"
    with experiment({"lr": 0.1}, name=name, base_dir=base) as exp:
        assert exp.path.parent == base
    assert exp.status is Status.COMPLETED
    assert {entry.name for entry in tmp_path.iterdir()} == {"deep"}
    assert {entry.name for entry in (tmp_path / "deep").iterdir()} == {"experiments"}
    assert {entry.name for entry in base.iterdir()} == {".runbook", "experiment_registry.json", exp.id}
    assert len(os.fsencode(exp.id)) <= 120
    (entry,) = ExperimentManager(base).list_experiments()
    assert entry["status"] == "completed"
    if name.isprintable():
        assert entry["custom_name"] == name


@pytest.mark.parametrize("field", ["name", "description", "tags", "note", "notes", "added tag"])
def test_text_that_utf_8_cannot_hold_neither_stops_the_run_nor_spoils_its_record(base, field):
    """File names from the system may hold lone surrogates; the ending is still recorded."""
    text = os.fsdecode(b"caf\xe9")
    options = {field: text} if field in {"name", "description"} else {"tags": [text]} if field == "tags" else {}
    with experiment({"lr": 0.1}, base_dir=base, **options) as exp:
        if field == "note":
            exp.note(text)
        if field == "added tag":
            exp.add_tags(text)
        if field == "notes":
            exp.finish("completed", notes=text)
    assert ExperimentManager(base).get_experiment(exp.id).status is Status.COMPLETED


def test_the_config_is_the_users_own_object(base):
    """We observe the config; it is the same object, with only `save_dir` changed."""
    config = SimpleNamespace(lr=0.1, save_dir="./checkpoints", layers=[1, 2])
    with experiment(config, base_dir=base) as exp:
        assert exp.config is config
        assert config.save_dir == str(exp.checkpoints_dir)
    assert (config.lr, config.layers) == (0.1, [1, 2])
    assert json.loads((exp.path / "config.json").read_text())["save_dir"] == str(exp.checkpoints_dir)


def test_a_frozen_config_gets_a_changed_copy(base):
    """What cannot be changed stays as it is, and `exp.config` is the copy to use."""

    @dataclass(frozen=True)
    class Config:
        lr: float = 0.1
        save_dir: str = "./checkpoints"

    config = Config()
    with experiment(config, base_dir=base) as exp:
        assert exp.config.save_dir == str(exp.checkpoints_dir)
        assert exp.config is not config
    assert config == Config()


@pytest.mark.parametrize("config", [5, "lr=0.1", [1, 2], 1.5, True, b"x", {1, 2}])
def test_a_config_without_settings_is_refused_before_anything_is_made(base, config):
    """Bad input leaves nothing on disk, and the message names what is accepted."""
    with pytest.raises(ConfigError, match="pass a mapping, a dataclass, or any object with attributes"):
        experiment(config, base_dir=base)
    assert not base.exists()


def test_a_base_directory_that_is_a_file_is_named(tmp_path):
    """The error names the path that is in the way and what to do about it."""
    path = tmp_path / "taken"
    path.write_text("mine")
    with (
        pytest.raises(BaseDirectoryError, match="taken is, or lies below, a file; choose another") as caught,
        experiment({"lr": 0.1}, base_dir=path),
    ):
        pytest.fail("the block ran")
    assert isinstance(caught.value, OSError)
    assert path.read_text() == "mine"
    assert current_experiment() is None


@pytest.mark.parametrize("name", ["return", "break", "continue"])
def test_leaving_the_block_early_is_a_return(base, name):
    """Control flow out of the block is its end."""

    def leave():
        for _ in range(1):
            with experiment({"lr": 0.1}, base_dir=base) as exp:
                if name == "return":
                    return exp
                if name == "break":
                    break
                continue
        return exp

    exp = leave()
    assert (exp.status, exp.end_reason) == (Status.COMPLETED, EndReason.RETURNED)


def test_the_exception_comes_out_as_it_went_in(base):
    """The same object with its own traceback, cause and context."""
    cause, error = KeyError("why"), ValueError("bad loss")
    with pytest.raises(ValueError) as caught, experiment({"lr": 0.1}, base_dir=base) as exp:
        raise error from cause
    assert caught.value is error
    assert (error.__cause__, error.__suppress_context__) == (cause, True)
    record = record_of(exp.path)
    assert (record["status"], record["end_reason"]) == ("failed", "exception")
    assert (record["failure"]["type"], record["failure"]["message"]) == ("ValueError", "bad loss")
    assert "raise error from cause" in (exp.logs_dir / "traceback.txt").read_text()


def test_a_block_can_be_entered_once(base):
    """Entering it again is an error that explains how to start another; the first is unchanged."""
    block = experiment({"lr": 0.1}, base_dir=base)
    with block as exp:
        pass
    with pytest.raises(UsageError, match=r"call experiment\(\.\.\.\) again"), block:
        pytest.fail("the block ran")
    assert exp.status is Status.COMPLETED
    assert len(ExperimentManager(base).list_experiments()) == 1


def test_a_block_that_is_entered_inside_itself_ends_once(base):
    """The error of the second entry does not end the experiment as completed."""
    block = experiment({"lr": 0.1}, base_dir=base)
    with pytest.raises(UsageError), block as exp:
        with block:
            pytest.fail("the block ran")
        pytest.fail("went on")
    assert exp.status is Status.FAILED


def test_a_block_can_be_entered_by_name(base):
    """`open` and `close` are what `with` calls."""
    block = experiment({"lr": 0.1}, base_dir=base)
    exp = block.open()
    assert current_experiment() is exp
    block.close(ValueError("x"))
    assert exp.status is Status.FAILED
    block.close()
    assert exp.status is Status.FAILED
    assert current_experiment() is None


def test_a_block_works_in_an_exit_stack(base):
    """It is a context manager like any other."""
    with contextlib.ExitStack() as stack:
        exp = stack.enter_context(experiment({"lr": 0.1}, base_dir=base))
        assert exp.status is Status.RUNNING
    assert exp.status is Status.COMPLETED


@pytest.mark.parametrize("status", ["completed", "failed", "interrupted", Status.FAILED])
@pytest.mark.parametrize("raises", [False, True])
def test_a_status_set_by_hand_is_kept(base, registry_of, status, raises):
    """The status that the program gave counts, not how the block was left."""
    with contextlib.suppress(ValueError), experiment({"lr": 0.1}, base_dir=base) as exp:
        exp.finish(status, notes="by hand")
        if raises:
            raise ValueError
    assert (exp.status, exp.end_reason) == (status, EndReason.MARKED)
    assert registry_of(base)[0]["status"] == str(status)
    assert registry_of(base)[0]["end_reason"] == "marked"
    assert registry_of(base)[0]["notes"] == "by hand"


def test_an_unknown_status_inside_the_block_changes_nothing(base):
    """The experiment keeps running, and its real end counts."""
    with experiment({"lr": 0.1}, base_dir=base) as exp:
        with pytest.raises(UnknownStatusError, match="completed, failed, interrupted"):
            exp.finish("done")
        assert exp.status is Status.RUNNING
    assert exp.status is Status.COMPLETED


def test_blocks_nest_and_name_their_parent(base, registry_of):
    """The innermost is the current one, and each knows the one around it."""
    assert current_experiment() is None
    with experiment({"n": 1}, base_dir=base) as outer:
        assert current_experiment() is outer
        with experiment({"n": 2}, base_dir=base) as inner:
            assert current_experiment() is inner
        assert current_experiment() is outer
    assert current_experiment() is None
    assert (outer.parent, inner.parent) == (None, outer.id)
    assert {entry["experiment_id"]: entry["parent"] for entry in registry_of(base)} == {
        outer.id: None,
        inner.id: outer.id,
    }


def test_blocks_that_end_out_of_order_leave_the_right_one_current(base):
    """Closing the outer one first does not take the inner one away."""
    outer, inner = experiment({"n": 1}, base_dir=base), experiment({"n": 2}, base_dir=base)
    first, second = outer.open(), inner.open()
    outer.close()
    assert current_experiment() is second
    inner.close()
    assert current_experiment() is None
    assert (first.status, second.status) == (Status.COMPLETED, Status.COMPLETED)


def test_each_thread_has_its_own_current_experiment(base):
    """Threads that run at once do not see each other's."""
    both_inside = threading.Barrier(3)
    seen = {}

    def run(name):
        with experiment({"name": name}, name=name, base_dir=base) as exp:
            both_inside.wait(30)
            seen[name] = current_experiment() is exp and exp.parent is None
            both_inside.wait(30)

    threads = [threading.Thread(target=run, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    both_inside.wait(30)
    seen["main"] = current_experiment() is None
    both_inside.wait(30)
    for thread in threads:
        thread.join()
    assert seen == {"one": True, "two": True, "main": True}
    assert {entry["status"] for entry in ExperimentManager(base).list_experiments()} == {"completed"}


def test_async_with_and_each_task_has_its_own(base):
    """Tasks that interleave see their own experiment, before and after each await."""

    async def run(name, gate, other):
        async with experiment({"name": name}, name=name, base_dir=base) as exp:
            gate.set()
            await other.wait()
            assert current_experiment() is exp
            assert exp.parent is None
        return exp

    async def main():
        one, two = asyncio.Event(), asyncio.Event()
        exps = await asyncio.gather(run("one", one, two), run("two", two, one))
        assert current_experiment() is None
        return exps

    for exp in asyncio.run(main()):
        assert exp.status is Status.COMPLETED


def test_a_cancelled_task_is_interrupted(base):
    """Cancellation is an interruption, and stays a cancellation for whoever awaits."""
    exps = []

    async def train():
        async with experiment({"lr": 0.1}, base_dir=base) as exp:
            exps.append(exp)
            started.set()
            await asyncio.Event().wait()

    async def main():
        task = asyncio.create_task(train())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    started = asyncio.Event()
    asyncio.run(main())
    assert (exps[0].status, exps[0].end_reason) == (Status.INTERRUPTED, EndReason.CANCELLED)


def test_a_timeout_is_a_cancellation_inside_and_a_timeout_outside(base):
    """`asyncio.timeout` turns the cancellation into TimeoutError only outside of the block."""

    async def main():
        async with asyncio.timeout(0.01), experiment({"lr": 0.1}, base_dir=base) as exp:
            exps.append(exp)
            await asyncio.Event().wait()

    exps = []
    with pytest.raises(TimeoutError):
        asyncio.run(main())
    assert exps[0].end_reason is EndReason.CANCELLED


def test_a_child_task_sees_the_experiment_that_it_was_started_in(base):
    """Tasks inherit, and forget it when it has ended."""

    async def child(inside, ended):
        first = current_experiment()
        inside.set()
        await ended.wait()
        return first, current_experiment()

    async def main():
        inside, ended = asyncio.Event(), asyncio.Event()
        async with experiment({"lr": 0.1}, base_dir=base) as exp:
            task = asyncio.create_task(child(inside, ended))
            await inside.wait()
        ended.set()
        return exp, await task

    exp, (before, after) = asyncio.run(main())
    assert before is exp
    assert after is None


def test_the_managers_block_is_the_same_in_its_own_directory(manager, base, tmp_path, monkeypatch):
    """`manager.experiment` takes the same options and ignores the environment's directory."""
    monkeypatch.setenv("RUNBOOK_DIR", str(tmp_path / "other"))
    with manager.experiment({"lr": 0.1}, name="n", description="d", tags=["t"], hash_exclude=["lr"]) as exp:
        assert isinstance(exp, Experiment)
        assert current_experiment() is exp
    assert exp.path.parent == base
    assert (exp.name, exp.description, exp.tags, exp.status) == ("n", "d", ("t",), Status.COMPLETED)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("option", ["nmae", "base_dir"])
def test_an_unknown_option_is_named(manager, base, option):
    """A misspelt option is not passed over."""
    with pytest.raises(TypeError, match=option):
        manager.experiment({"lr": 0.1}, **{option: "x"})
    assert manager.list_experiments() == []


@pytest.mark.slow
def test_no_file_stays_open_after_the_block(base):
    """Ended experiments hold no descriptors."""

    def run(logs):
        with experiment({"lr": 0.1}, base_dir=base) as exp:
            for _ in range(logs):
                exp.log(loss=1)

    run(1)
    gc.collect()
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    for _ in range(5):
        run(2)
    gc.collect()
    after = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    assert after == before


# --- RUNBOOK_MODE=disabled -------------------------------------------------------------------------------------------


@pytest.fixture
def disabled(monkeypatch, tmp_path, base):
    """Tracking is disabled, in an empty working directory; whatever appears there or in `base` is a mistake."""
    working = tmp_path / "working"
    working.mkdir()
    monkeypatch.chdir(working)
    monkeypatch.setenv("RUNBOOK_MODE", "disabled")
    monkeypatch.setenv("RUNBOOK_DIR", str(base))
    yield working
    assert os.listdir(working) in ([], ["input.jsonl"])
    assert not base.exists()


EVERY_METHOD = [
    ("log", ({"loss": 0.3},), {"step": 3}),
    ("log", (), {"loss": 0.3}),
    ("save_training_history", ({"loss": [1, 2]},), {}),
    ("save_training_history", (), {}),
    ("save_predictions", ([1, 2],), {}),
    ("save_predictions", ([1, 2], "p.json"), {}),
    ("save_bias_metrics", ({"a": 1}, {"b": 2}), {}),
    ("save_xai_metrics", ({"a": 1},), {}),
    ("save_eraser_results", ("input.jsonl",), {}),
    ("save_final_metrics", ({"f1": 0.9},), {}),
    ("save_metrics", ("mine", {"f1": 0.9}), {}),
    ("save_artifact", ("input.jsonl",), {}),
    ("save_artifact", (b"bytes", "x.bin"), {}),
    ("save_artifact", ({"a": 1}, "x.json"), {}),
    ("note", ("a note",), {}),
    ("add_tags", ("a", "b"), {}),
    ("finish", ("failed", "a note"), {}),
    ("history", (), {}),
]


@pytest.mark.parametrize(("method", "args", "kwargs"), EVERY_METHOD)
def test_disabled_every_method_works_and_writes_nothing(disabled, method, args, kwargs):
    """The same calls, the same kinds of results, and no file where the user works or keeps experiments."""
    (disabled / "input.jsonl").write_text("{}\n")
    with experiment({"lr": 0.1}, name="x", tags=["t"]) as exp:
        result = getattr(exp, method)(*args, **kwargs)
    if method.startswith("save_"):
        assert isinstance(result, Path)
    assert os.listdir(disabled) == ["input.jsonl"]


def test_disabled_the_handle_behaves_like_a_real_one(disabled):
    """Id, name, status, notes, tags, parent and the current experiment are as they would be."""
    with experiment({"lr": 0.1}, name="outer", description="d", tags=["t"]) as exp:
        assert isinstance(exp, Experiment)
        assert current_experiment() is exp
        assert (exp.name, exp.description, exp.tags, exp.status) == ("outer", "d", ("t",), Status.RUNNING)
        assert "outer" in exp.id
        exp.note("n")
        exp.add_tags("u")
        with experiment({"lr": 0.2}) as inner:
            assert inner.parent == exp.id
    assert (exp.status, exp.notes, exp.tags) == (Status.COMPLETED, "n", ("t", "u"))
    with pytest.raises(ValueError, match="x"), experiment({"lr": 0.1}) as exp:
        raise ValueError("x")
    assert exp.status is Status.FAILED


@pytest.mark.parametrize(
    ("method", "args", "error"),
    [
        ("finish", ("done",), "UnknownStatusError"),
        ("save_predictions", ([1], "x.unknown"), "UnknownSuffixError"),
        ("save_predictions", ([1], "../x.json"), "InvalidNameError"),
        ("save_metrics", ("a/b", {}), "InvalidNameError"),
        ("save_final_metrics", (3,), "TypeError"),
        ("save_artifact", ("missing.bin",), "FileNotFoundError"),
        ("save_training_history", (3,), "TypeError"),
    ],
)
def test_disabled_bad_input_is_refused_as_ever(disabled, method, args, error):
    """A unit test of the user's code finds the mistakes that the real run would meet."""
    with experiment({"lr": 0.1}) as exp, pytest.raises(Exception) as caught:
        getattr(exp, method)(*args)
    assert type(caught.value).__name__ == error


def test_disabled_the_config_is_left_alone(disabled):
    """Nothing of the user's changes, `save_dir` least of all."""
    config = SimpleNamespace(lr=0.1, save_dir="./mine")
    with experiment(config) as exp:
        assert exp.config is config
    assert vars(config) == {"lr": 0.1, "save_dir": "./mine"}


def test_disabled_a_folder_that_is_asked_for_is_a_temporary_one(disabled):
    """The user's code may write into `exp.checkpoints_dir`; it goes outside of everything of theirs."""
    with experiment({"lr": 0.1}) as exp:
        for folder in (exp.path, exp.checkpoints_dir, exp.results_dir, exp.metrics_dir, exp.logs_dir):
            assert folder.is_dir()
            (folder / "file").write_text("x")
            assert Path(tempfile.gettempdir()) in folder.parents


def test_disabled_leftovers_of_others_are_not_in_the_way(disabled, monkeypatch, tmp_path):
    """The system's temporary directory is shared with other users and with processes that had our id before."""
    shared = tmp_path / "shared"
    shared.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(shared))
    (shared / f"runbook-disabled-{os.getpid()}").write_text("somebody else's")
    with experiment({"lr": 0.1}) as exp:
        assert exp.checkpoints_dir.is_dir()


def test_disabled_the_temporary_folder_goes_when_the_program_ends(script):
    """Nothing is left behind anywhere; a forked child that exits takes nothing away from its parent."""
    done = script.run(
        """
        import os, sys
        from runbook import experiment
        with experiment({"lr": 0.1}) as exp:
            file = exp.checkpoints_dir / "model.bin"
            file.write_text("x")
            pid = os.fork()
            if pid == 0:
                sys.exit(0)
            os.waitpid(pid, 0)
            print(file.exists())
            print(exp.path)
        """,
        RUNBOOK_MODE="disabled",
    )
    assert done.returncode == 0, done.stderr
    survived, path = done.stdout.split()
    assert survived == "True"
    assert not Path(path).exists()
    assert not Path(path).parent.exists()


def test_disabled_the_decorator_runs_all_kinds(disabled):
    """Results, injection and exceptions are as ever."""

    @tracked
    def plain(lr, exp):
        return {"f1": lr, "seen": current_experiment() is exp}

    @tracked
    async def coroutine(lr, exp):
        await asyncio.sleep(0)
        return {"f1": lr, "seen": current_experiment() is exp}

    @tracked
    def generator(lr, exp):
        yield current_experiment() is exp
        return {"f1": lr}

    @tracked
    async def async_generator(lr, exp):
        yield current_experiment() is exp

    async def collect():
        return [item async for item in async_generator(0.5)]

    assert plain(0.5) == {"f1": 0.5, "seen": True}
    assert asyncio.run(coroutine(0.5)) == {"f1": 0.5, "seen": True}
    assert list(generator(0.5)) == [True]
    assert asyncio.run(collect()) == [True]


def test_disabled_the_seeds_seven_steps_run(disabled):
    """The legacy manager is a no-op as well, and has no experiments."""
    (disabled / "input.jsonl").write_text("{}\n")
    manager = ExperimentManager()
    folder = manager.create_experiment({"lr": 0.1, "save_dir": "./x"}, custom_name="n", description="d")
    assert isinstance(folder, Path)
    manager.save_training_history({"loss": [1.0]})
    manager.save_predictions({"y": [1]})
    manager.save_bias_metrics({"gmb": 1}, {"x": 2})
    manager.save_xai_metrics({"c": 1})
    manager.save_eraser_results("input.jsonl")
    manager.save_final_metrics({"f1": 1})
    manager.mark_complete("completed", notes="n")
    assert manager.list_experiments() == []


def test_disabled_a_shelf_that_exists_is_read_and_not_written(manager, base, monkeypatch):
    """A program that also looks at finished experiments still can."""
    with manager.experiment({"lr": 0.1}, name="real") as real:
        real.save_final_metrics({"f1": 0.5})
    before = {path: path.stat().st_mtime_ns for path in base.rglob("*")}
    monkeypatch.setenv("RUNBOOK_MODE", "disabled")
    with manager.experiment({"lr": 0.2}) as exp:
        exp.log(loss=1)
    manager.create_experiment({"lr": 0.3})
    manager.mark_complete()
    assert [entry["experiment_id"] for entry in manager.list_experiments()] == [real.id]
    assert manager.get_experiment("real").metrics == {"f1": 0.5}
    assert {path: path.stat().st_mtime_ns for path in base.rglob("*")} == before
