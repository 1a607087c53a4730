"""Resuming an experiment in the same folder."""

from __future__ import annotations

import asyncio
import json

import pytest

from runbook import (
    ConfigDiffersError,
    DamagedFileError,
    EndReason,
    ExperimentManager,
    ExperimentNotFoundError,
    ResumeError,
    Status,
    UsageError,
    experiment,
    tracked,
)
from runbook.read.view import record_of

CONFIG = {"lr": 0.1, "model": {"layers": 2}, "save_dir": "./out"}


class Preempted(Exception):
    pass


def attempt(base, steps, *, fail=False, config=CONFIG, **options):
    """Train as one process would; returns the experiment."""
    with pytest.raises(Preempted) if fail else _nothing(), experiment(dict(config), base_dir=base, **options) as exp:
        for step in steps:
            exp.log(loss=float(step), step=step)
        if fail:
            raise Preempted("the node went away")
    return exp


class _nothing:
    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


def test_a_failed_experiment_goes_on_in_its_folder(base):
    """The record keeps each attempt, with its start, end, host and reason."""
    first = attempt(base, range(5), fail=True, name="run")
    second = attempt(base, range(3, 8), name="run", resume="allow", tags=["again"])
    assert (second.id, second.path, second.attempt) == (first.id, first.path, 2)
    view = ExperimentManager(base).get_experiment(first.id)
    assert (view.status, view.end_reason, record_of(view).failure) == ("completed", "returned", None)
    before, after = record_of(view).attempts
    assert (before.end_reason, after.end_reason) == (EndReason.EXCEPTION, EndReason.RETURNED)
    assert before.failure.message == "the node went away"
    assert before.started_at <= before.ended_at <= after.started_at <= after.ended_at
    assert before.owner.host == after.owner.host == record_of(view).host
    assert view.tags == ("again",)
    assert (view.logs_dir / "environment-2.json").exists()
    assert [entry["experiment_id"] for entry in ExperimentManager(base).list_experiments()] == [first.id]


def test_the_history_is_one_clean_curve_and_keeps_what_was_rewound(base):
    """Steps that a later attempt took again are shown on request only."""
    attempt(base, [0, 1, 2, 3, 4], fail=True, name="run")
    attempt(base, [3, 4, 5], fail=True, name="run", resume="allow")
    exp = attempt(base, [5, 6], name="run", resume="must")
    assert exp.history()["step"] == [0, 1, 2, 3, 4, 5, 6]
    everything = exp.history(rewound=True)
    assert everything["step"] == [0, 1, 2, 3, 4, 3, 4, 5, 5, 6]
    assert everything["attempt"] == [1, 1, 1, 1, 1, 2, 2, 2, 3, 3]
    assert ExperimentManager(base).get_experiment("run").history() == exp.history()


def test_steps_count_up_from_where_the_former_attempt_stopped(base):
    """If a program gives no steps, they count up across attempts."""
    with pytest.raises(Preempted), experiment(CONFIG, base_dir=base, name="run") as exp:
        exp.log(loss=1)
        exp.log(loss=2)
        raise Preempted
    with experiment(CONFIG, base_dir=base, name="run", resume="allow") as exp:
        exp.log(loss=3)
    assert exp.history()["step"] == [0, 1, 2]
    assert exp.metrics == {"loss": 3}


def test_a_torn_last_line_does_not_spoil_what_comes_after_it(base):
    """The kill that ended the former attempt may have cut its last line."""
    first = attempt(base, [0, 1], fail=True, name="run")
    with (first.metrics_dir / "history.jsonl").open("ab") as file:
        file.write(b'{"step": 2, "lo\0\0\0')
    second = attempt(base, [2, 3], name="run", resume="allow")
    assert second.history()["step"] == [0, 1, 2, 3]


def test_allow_starts_a_new_one_where_there_is_nothing_to_go_on_with(base):
    """A completed experiment stays as it is."""
    first = attempt(base, [0], name="run", resume="allow")
    second = attempt(base, [0], name="run", resume="allow")
    assert first.id != second.id
    assert len(ExperimentManager(base).list_experiments(status="completed")) == 2


def test_without_a_name_the_config_tells_which_experiment_is_meant(base):
    """The same settings, in any order, resume the same experiment."""
    first = attempt(base, [0], fail=True)
    attempt(base, [0], fail=True, config={"lr": 0.2})
    again = attempt(base, [1], config=dict(reversed(CONFIG.items())), resume="allow")
    assert again.id == first.id


def test_never_is_the_default(base):
    """Without `resume`, each call starts a new experiment."""
    assert attempt(base, [0], fail=True, name="run").id != attempt(base, [0], name="run").id


def test_must_refuses_to_start_a_new_one(base):
    """ "must" never starts a new experiment."""
    with pytest.raises(ResumeError, match=r"'run'.*resume='allow'"):
        attempt(base, [0], name="run", resume="must")
    assert ExperimentManager(base).list_experiments() == []


def test_an_id_or_the_beginning_of_one_says_which(base):
    """The name does not matter then."""
    first = attempt(base, [0], fail=True, name="run")
    assert attempt(base, [1], resume=first.id).id == first.id
    with pytest.raises(ResumeError, match="is completed"):
        attempt(base, [1], resume=first.id[:20])
    with pytest.raises(ExperimentNotFoundError, match="did you mean"):
        attempt(base, [1], resume=first.id[:-1] + "x")
    with pytest.raises(UsageError, match="never, allow, must, auto"):
        experiment(CONFIG, base_dir=base, resume="")


def test_another_config_is_refused_with_the_difference_shown(base):
    """The record of one folder has one config, so another config is an error."""
    attempt(base, [0], fail=True, name="run")
    other = {"lr": 0.2, "model": {"layers": 2}, "save_dir": "./elsewhere", "extra": None}
    with pytest.raises(ConfigDiffersError) as caught:
        attempt(base, [1], name="run", resume="allow", config=other)
    assert caught.value.changes == {"lr": {"before": 0.1, "now": 0.2}, "extra": {"now": None}}
    assert "lr: 0.1 before, 0.2 now" in str(caught.value)
    assert "allow_config_change=True" in str(caught.value)
    view = ExperimentManager(base).get_experiment("run")
    assert (view.status, view.attempt, view.config["lr"]) == ("failed", 1, 0.1)
    assert list((base / ".runbook" / "running").iterdir()) == []


def test_another_config_is_recorded_where_it_was_allowed(base):
    """The attempt records what it changed."""
    attempt(base, [0], fail=True, name="run")
    attempt(base, [1], name="run", resume="allow", config={**CONFIG, "lr": 0.2}, allow_config_change=True)
    view = ExperimentManager(base).get_experiment("run")
    assert view.config["lr"] == 0.2
    assert json.loads((view.path / "config.json").read_text())["lr"] == 0.2
    assert record_of(view).attempts[1].config_changes == {"lr": {"before": 0.1, "now": 0.2}}
    assert view.config["save_dir"] == str(view.checkpoints_dir)


def test_settings_outside_of_the_hash_may_differ(base):
    """Settings in `hash_exclude` may differ."""
    first = attempt(base, [0], fail=True, name="run", config={"lr": 1, "workers": 2})
    second = attempt(base, [1], name="run", config={"lr": 1, "workers": 8}, resume="must", hash_exclude=["workers"])
    assert first.id == second.id


def test_the_save_dir_points_at_the_old_checkpoints(base):
    """The checkpoint from which the training continues is in that folder."""
    first = attempt(base, [0], fail=True, name="run")
    config = dict(CONFIG)
    with experiment(config, base_dir=base, name="run", resume="must"):
        assert config["save_dir"] == str(first.checkpoints_dir)


RUNNING = """
from runbook import experiment
import time
with experiment({"lr": 0.1}, name="run", resume="allow") as exp:
    exp.log(loss=1.0)
    print(exp.id, flush=True)
    time.sleep(60)
"""


def test_a_running_experiment_cannot_be_resumed(script, base):
    """Two processes on one folder would mix their files."""
    process = script.start(RUNNING)
    try:
        running = process.stdout.readline().strip()
        with pytest.raises(ResumeError, match=rf"process {process.pid}.*resume='never'"):
            attempt(base, [0], name="run", config={"lr": 0.1}, resume="allow")
        process.kill()
        process.wait()
        assert attempt(base, [1], name="run", config={"lr": 0.1}, resume="allow").id == running
    finally:
        process.kill()
        process.communicate()
    before, _ = record_of(ExperimentManager(base).get_experiment(running)).attempts
    assert before.end_reason is EndReason.VANISHED


def test_of_several_processes_one_gets_to_resume(script, base):
    """The error of the others names the process that has it."""
    attempt(base, [0], fail=True, name="run", config={"lr": 0.1})
    racer = """
import os, time
from runbook import experiment, ResumeError
try:
    with experiment({"lr": 0.1}, name="run", resume="must") as exp:
        print("won", flush=True)
        while not os.path.exists("everybody has asked"):
            time.sleep(0.02)
except ResumeError as error:
    print("lost", "is running" in str(error), flush=True)
"""
    racers = [script.start(racer) for _ in range(6)]
    said = sorted(racer.stdout.readline().strip() for racer in racers)
    (script.folder / "everybody has asked").touch()
    for racer in racers:
        racer.communicate(timeout=60)
    assert said == ["lost True"] * 5 + ["won"]
    assert ExperimentManager(base).get_experiment("run").attempt == 2


SLURM_JOB = """
import os, sys
from runbook import experiment
with experiment({"lr": 0.1}, name="run", resume="auto") as exp:
    exp.log(loss=1.0)
    print(exp.id, exp.attempt, flush=True)
    if "--die" in sys.argv:
        os._exit(1)
"""


def test_a_requeued_job_goes_on_with_its_experiment(script, base):
    """Slurm keeps the id of the job and counts the requeues."""
    job = {"SLURM_JOB_ID": "1234"}
    first = script.run(SLURM_JOB, "--die", **job).stdout.split()
    other = script.run(SLURM_JOB, "--die", SLURM_JOB_ID="999").stdout.split()
    again = script.run(SLURM_JOB, "--die", **job, SLURM_RESTART_COUNT="1").stdout.split()
    done = script.run(SLURM_JOB, **job, SLURM_RESTART_COUNT="2").stdout.split()
    assert other[0] != first[0]
    assert [first, again, done] == [[first[0], "1"], [first[0], "2"], [first[0], "3"]]
    assert script.run(SLURM_JOB, "--die").stdout.split()[1] == "1", "outside of a job it is a new one"


def test_a_requeued_job_takes_over_from_a_node_that_is_gone(script, base):
    """The former process on another host cannot be checked; the requeue by the scheduler proves that it has ended."""
    first = script.run(SLURM_JOB, "--die", SLURM_JOB_ID="1234").stdout.split()[0]
    (path,) = base.glob("*/experiment.json")
    record = json.loads(path.read_text())
    record["attempts"][0]["owner"].update(host="gpu-7", boot_id="other", is_locked=False)
    path.write_text(json.dumps(record))
    assert ExperimentManager(base).get_experiment(first).status is Status.RUNNING
    again = script.run(SLURM_JOB, SLURM_JOB_ID="1234", SLURM_RESTART_COUNT="1")
    assert again.stdout.split() == [first, "2"], again.stderr
    view = ExperimentManager(base).get_experiment(first)
    assert view.status is Status.COMPLETED
    assert "started anew by the scheduler" in record_of(view).attempts[0].evidence


def test_a_completed_call_is_skipped_and_says_so(base, caplog):
    """The same function with the same config; anything else runs."""
    calls = []

    @tracked(base_dir=base, skip_completed=True)
    def train(lr):
        calls.append(lr)
        if lr < 0:
            raise Preempted
        return {"f1": lr}

    assert train(0.1) == {"f1": 0.1}
    assert train(0.1) is None
    assert "train() is skipped" in caplog.text
    assert train(0.2) == {"f1": 0.2}
    for _ in range(2):
        with pytest.raises(Preempted):
            train(-1.0)
    assert calls == [0.1, 0.2, -1.0, -1.0]

    @tracked(base_dir=base, skip_completed=True, name="train")
    def other(lr):
        return {"f1": lr}

    assert other(0.1) == {"f1": 0.1}


def test_skipping_keeps_the_kind_of_the_function(base):
    """A skipped coroutine can be awaited, a skipped generator gives nothing."""

    @tracked(base_dir=base, skip_completed=True)
    async def coroutine():
        return {"f1": 1}

    @tracked(base_dir=base, skip_completed=True)
    def generator():
        yield 1

    @tracked(base_dir=base, skip_completed=True)
    async def stream():
        yield 1

    async def everything():
        return [item async for item in stream()]

    assert [asyncio.run(coroutine()) for _ in range(2)] == [{"f1": 1}, None]
    assert [list(generator()) for _ in range(2)] == [[1], []]
    assert [asyncio.run(everything()) for _ in range(2)] == [[1], []]


def test_a_tracked_function_can_be_resumed(base):
    """The decorator takes the same values of `resume`."""
    fails = [True, False]

    @tracked(base_dir=base, resume="allow")
    def train(lr, exp):
        exp.log(loss=1)
        if fails.pop(0):
            raise Preempted
        return exp.id

    with pytest.raises(Preempted):
        train(0.1)
    assert ExperimentManager(base).get_experiment(train(0.1)).attempt == 2


def test_an_experiment_whose_record_was_repaired_goes_on(base):
    folder = attempt(base, [0, 1], fail=True).path
    (folder / "experiment.json").write_text("{")
    ExperimentManager(base).repair()

    with experiment(dict(CONFIG), base_dir=base, resume=folder.name) as exp:
        exp.log(step=2, loss=0.0)

    assert exp.path == folder
    assert exp.status == "completed"


def test_a_call_is_not_skipped_for_what_another_config_completed_in_its_folder(base):
    calls = []

    @tracked(base_dir=base, resume="allow", allow_config_change=True, skip_completed=True)
    def train(lr):
        calls.append(lr)
        if len(calls) == 1:
            raise Preempted

    with pytest.raises(Preempted):
        train(0.1)
    train(0.5)
    train(0.1)

    assert calls == [0.1, 0.5, 0.1]


def test_an_attempt_that_cannot_begin_is_taken_back(base):
    exp = attempt(base, [0, 1], fail=True)
    history = exp.path / "metrics" / "history.jsonl"
    whole = history.read_bytes()
    history.write_bytes(whole[:10] + whole[20:])

    with pytest.raises(DamagedFileError), experiment(dict(CONFIG), base_dir=base, resume=exp.id):
        pass

    assert ExperimentManager(base).get_experiment(exp.id).status == "failed"
    assert ExperimentManager(base).list_experiments()[0]["status"] == "failed"
    history.write_bytes(whole)
    with experiment(dict(CONFIG), base_dir=base, resume=exp.id) as again:
        pass
    assert again.status == "completed"


def gone(base, **owner):
    """Make the last attempt of the only experiment look like that of a process elsewhere."""
    (path,) = base.glob("*/experiment.json")
    record = json.loads(path.read_text())
    record.update(status="running", end_reason=None, completed_at=None)
    record["attempts"][-1].update(ended_at=None, end_reason=None)
    record["attempts"][-1]["owner"].update(host="gpu-7", boot_id="other", is_locked=False, **owner)
    path.write_text(json.dumps(record))


def test_the_same_job_started_anew_goes_on_and_another_job_does_not(base, monkeypatch):
    """The restart count of the job decides, in each process of it."""
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    first = attempt(base, [0], fail=True, name="run", resume="auto")
    gone(base)
    with pytest.raises(ResumeError, match="is running"):
        attempt(base, [1], resume=first.id)
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    second = attempt(base, [1], name="run", resume="auto")
    assert (second.id, second.attempt) == (first.id, 2)
    assert record_of(second).attempts[1].job.restarts == 1
    monkeypatch.setenv("SLURM_JOB_ID", "78")
    assert attempt(base, [1], name="run", resume="auto").id != first.id


def test_a_misspelt_word_is_no_experiment(base):
    """The message names the nearest word."""
    with pytest.raises(UsageError, match="did you mean resume='allow'"):
        attempt(base, [0], resume="alow")
    with pytest.raises(UsageError, match="never, allow, must, auto"):
        attempt(base, [0], resume=True)
    with pytest.raises(UsageError, match="is no rank"):
        attempt(base, [0], rank="a")
    assert attempt(base, [0], rank="0").status is Status.COMPLETED


def test_an_experiment_elsewhere_is_a_note_and_ends_on_a_persons_word(base):
    """The process on another machine cannot be checked; a person can record its end."""
    exp = attempt(base, [0, 1], fail=True, name="run")
    gone(base)
    manager = ExperimentManager(base)
    (note,) = [finding for finding in manager.doctor() if finding.kind == "running-elsewhere"]
    assert "gpu-7" in note.message
    manager.declare_ended(exp.id, notes="the node is gone")
    assert manager.get_experiment(exp.id).status is Status.INTERRUPTED
    with pytest.raises(UsageError, match="has ended already"):
        manager.declare_ended(exp.id)
