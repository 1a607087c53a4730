"""Distributed training: one experiment for all processes of a launch."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys

import pytest

from runbook import ExperimentManager, experiment, tracked
from runbook.run import distributed

WORKER = """
import json, os, sys
from runbook import current_experiment, experiment
rank = int(os.environ["RANK"])
config = {"lr": 0.1, "save_dir": "./out"}
for name in ("first", "second"):
    with experiment(config, name=name) as exp:
        exp.log(loss=float(rank))
        exp.save_metrics("by_rank", {"rank": rank})
        exp.save_final_metrics({"rank": rank})
        exp.note(f"said by {rank}")
        assert current_experiment() is exp
        (exp.checkpoints_dir / f"shard-{rank}.bin").write_bytes(b"x")
    print(json.dumps([exp.id, str(exp.path), config["save_dir"], exp.status]), flush=True)
"""

LAUNCHERS = {
    "torchrun": lambda rank: {
        "RANK": rank,
        "LOCAL_RANK": rank,
        "WORLD_SIZE": 4,
        "MASTER_ADDR": "::1",
        "MASTER_PORT": 29500,
    },
    "srun": lambda rank: {"SLURM_PROCID": rank, "SLURM_NTASKS": 4, "SLURM_JOB_ID": 77, "SLURM_STEP_ID": 0},
    "mpirun": lambda rank: {"OMPI_COMM_WORLD_RANK": rank, "OMPI_COMM_WORLD_SIZE": 4, "PMIX_NAMESPACE": "x"},
    "a launcher that says only the rank": lambda rank: {"RANK": rank},
}


@pytest.fixture(autouse=True)
def _no_launcher(monkeypatch):
    """The tests may run under a scheduler themselves."""
    for name in (*distributed._RANKS, *distributed._LAUNCH, "SLURM_NTASKS", distributed.EXPERIMENT_VARIABLE):
        monkeypatch.delenv(name, raising=False)


def launch(script, launcher, order=(3, 2, 1, 0)):
    """Four real processes, rank 0 last; gives what each printed."""
    processes = {}
    for rank in order:
        environment = {name: str(value) for name, value in LAUNCHERS[launcher](rank).items()}
        processes[rank] = script.start(WORKER.replace('"RANK"', f'"{next(iter(environment))}"'), **environment)
    said = {}
    for rank, process in processes.items():
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        said[rank] = [json.loads(line) for line in out.splitlines()]
    return said


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_the_ranks_of_a_launch_share_one_experiment(script, base, launcher):
    """The others have its id and its paths, and only rank 0 writes."""
    said = launch(script, launcher)
    entries = ExperimentManager(base).list_experiments()
    assert [entry["custom_name"] for entry in entries] == ["first", "second"]
    assert [entry["status"] for entry in entries] == ["completed"] * 2
    for rank in range(4):
        assert [one[:3] for one in said[rank]] == [
            [
                entry["experiment_id"],
                str(base / entry["experiment_id"]),
                str(base / entry["experiment_id"] / "checkpoints"),
            ]
            for entry in entries
        ]
        assert [one[3] for one in said[rank]] == ["completed"] * 2
    for entry in entries:
        view = ExperimentManager(base).get_experiment(entry["experiment_id"])
        assert view.history()["loss"] == [0.0]
        assert view.load_metrics("by_rank") == view.metrics == {"rank": 0}
        assert view.notes == "said by 0"
        assert sorted(path.name for path in view.checkpoints_dir.iterdir()) == [
            f"shard-{rank}.bin" for rank in range(4)
        ]


def test_a_second_launch_with_the_same_address_has_experiments_of_its_own(script, base):
    """A default port is used again and again."""
    first = launch(script, "torchrun", order=(0, 1, 2, 3))
    second = launch(script, "torchrun", order=(0, 1, 2, 3))
    assert first[0] != second[0]
    for said in (first, second):
        assert all(said[rank] == said[0] for rank in range(4))
    assert len(ExperimentManager(base).list_experiments()) == 4


def test_the_argument_wins_over_the_environment(base, monkeypatch):
    """Independent processes of one launch say so with rank=0."""
    monkeypatch.setenv("RANK", "3")
    with experiment({}, base_dir=base, rank=0) as exp:
        exp.log(loss=1)
    assert exp.history()["loss"] == [1]

    @tracked(base_dir=base, rank=0)
    def train():
        return {"f1": 1}

    train()
    assert len(ExperimentManager(base).list_experiments()) == 2


def test_the_launcher_can_hand_down_the_id(base, monkeypatch):
    """In the environment that all its processes share."""
    with experiment({}, base_dir=base) as whole:
        monkeypatch.setenv(distributed.EXPERIMENT_VARIABLE, whole.id)
        with experiment({}, base_dir=base, rank=2) as exp:
            exp.save_final_metrics({"rank": 2})
            assert (exp.id, exp.path) == (whole.id, whole.path)
    assert whole.metrics == {}
    assert len(ExperimentManager(base).list_experiments()) == 1


def test_without_an_experiment_of_rank_0_the_others_go_on_and_say_so(base, monkeypatch, caplog):
    """A training is not stopped for its record."""
    monkeypatch.setattr(distributed, "WAIT_S", 0.1)
    with experiment({}, base_dir=base, rank=1) as exp:
        exp.log(loss=1)
    assert "rank 1 has waited" in caplog.text
    assert "pass rank=0" in caplog.text
    assert ExperimentManager(base).list_experiments() == []


def test_a_single_process_waits_for_nobody_and_leaves_no_file(base):
    """Outside of a launch there is nothing to agree on."""
    with experiment({}, base_dir=base):
        pass
    assert not (base / ".runbook" / "ranks").exists()


def test_the_first_task_of_a_batch_job_is_no_distributed_training(base, monkeypatch):
    """Slurm numbers the only process of a job as well."""
    monkeypatch.setenv("SLURM_PROCID", "0")
    monkeypatch.setenv("SLURM_NTASKS", "1")
    assert distributed.rank_of(None) == 0
    assert not distributed.is_distributed(None)


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
def test_under_the_real_torchrun(tmp_path, base):
    """A process group of four that speaks to itself."""
    program = tmp_path / "program.py"
    program.write_text(
        "import torch.distributed as dist\ndist.init_process_group('gloo')\n" + WORKER + "dist.barrier()\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "4", str(program)]
    done = subprocess.run(command, env={**os.environ, "RUNBOOK_DIR": str(base)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    entries = ExperimentManager(base).list_experiments()
    assert [entry["custom_name"] for entry in entries] == ["first", "second"]
    said = [json.loads(line)[0] for line in done.stdout.splitlines() if line.startswith("[")]
    assert sorted(said) == sorted([entry["experiment_id"] for entry in entries] * 4)


def test_the_file_of_an_ended_launch_is_believed_after_a_while_only(base, monkeypatch):
    """Rank 0 of this launch is given the time to replace it; a very short one may have ended by then."""
    monkeypatch.setenv("MASTER_PORT", "29500")
    monkeypatch.setattr(distributed, "_PATIENCE_S", 0.1)
    with experiment({}, base_dir=base, rank=0) as first:
        pass
    # What another process of the same launch would count.
    distributed._begun.clear()
    with experiment({}, base_dir=base, rank=1) as second:
        assert second.path == first.path
        second.log(loss=1)
    assert first.history() == {"step": [], "time": []}


def test_a_damaged_or_hostile_meeting_file_is_waited_out(base, monkeypatch, caplog):
    """Its content becomes no path."""
    monkeypatch.setattr(distributed, "WAIT_S", 0.2)
    for content in ("{", '{"experiment_id": "../outside"}', '{"experiment_id": "none"}'):
        distributed._begun.clear()
        meeting = distributed.open_rendezvous(ExperimentManager(base)._index)
        distributed._begun.clear()
        meeting.parent.mkdir(parents=True, exist_ok=True)
        meeting.write_text(content)
        with experiment({}, base_dir=base, rank=1) as exp:
            exp.log(loss=1)
        assert "goes on without one" in caplog.text
