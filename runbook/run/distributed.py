"""Distributed training: one experiment for all processes of a launch.

The process of rank 0 makes the experiment. The others get one with the same id and paths whose writes do nothing.
They read the id from `RUNBOOK_EXPERIMENT_ID`, where the launcher has set it, else from the rendezvous file. Rank 0
writes that file into the base directory, under a name that each process of the launch computes from its environment.
"""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from runbook import errors
from runbook.messages import warn
from runbook.record import identifiers
from runbook.record.status import Status
from runbook.serialize import json_text
from runbook.storage import current_record, files

if TYPE_CHECKING:
    from pathlib import Path

    from runbook.index import Index
    from runbook.record.model import ExperimentRecord

EXPERIMENT_VARIABLE: Final = "RUNBOOK_EXPERIMENT_ID"
WAIT_S: Final = 60.0
_POLL_S: Final = 0.05
_PATIENCE_S: Final = 3.0
_SKEW_S: Final = 10.0
"""How far apart the processes of a launch start."""

# The order matters: the launcher closest to the program comes first, the rank on one node last.
_RANKS: Final = ("RANK", "OMPI_COMM_WORLD_RANK", "SLURM_PROCID", "LOCAL_RANK")
_LAUNCH: Final = (
    "MASTER_ADDR",
    "MASTER_PORT",
    "TORCHELASTIC_RUN_ID",
    "TORCHELASTIC_RESTART_COUNT",
    "PMIX_NAMESPACE",
    "SLURM_JOB_ID",
    "SLURM_STEP_ID",
    "SLURM_ARRAY_TASK_ID",
    "SLURM_RESTART_COUNT",
)
_begun: dict[tuple[int, Path], int] = {}


def rank_of(argument: int | None) -> int:
    """The rank of this process: the argument, else the first of the launchers' variables that is set, else 0.

    torchrun sets `RANK`, Open MPI sets `OMPI_COMM_WORLD_RANK`, Slurm's srun sets `SLURM_PROCID`.
    """
    if argument is not None:
        return argument
    values = (os.environ.get(name, "") for name in _RANKS)
    return next((int(rank) for rank in values if rank.isdecimal()), 0)


def is_distributed(argument: int | None) -> bool:
    """Whether other processes may wait for the experiment of this one."""
    if argument is not None or any(name in os.environ for name in _RANKS if name != "SLURM_PROCID"):
        return True
    # Slurm sets SLURM_PROCID for a job of one process, too.
    return os.environ.get("SLURM_NTASKS", "1") != "1"


def open_rendezvous(index: Index) -> Path:
    """The rendezvous file of the next experiment that this launch starts in a base directory.

    Each process counts its own experiments there: the third of one rank is the third of every other.
    """
    key = (os.getpid(), index.layout.root)
    _begun[key] = _begun.get(key, 0) + 1
    launch = {name: os.environ[name] for name in _LAUNCH if name in os.environ}
    if not launch:
        # Started by hand, or by a launcher that sets no variable: processes on one machine have the same parent.
        launch = {"launcher": str(os.getppid())}
    return index.layout.rendezvous(_digest(launch), _begun[key])


def _digest(launch: dict[str, str]) -> str:
    import hashlib

    return hashlib.sha256(json.dumps(launch, sort_keys=True).encode()).hexdigest()[:16]


def publish_id(rendezvous: Path, experiment_id: str) -> None:
    """Write the id of the experiment into the rendezvous file, where the other ranks find it.

    Raises:
        OSError: if it cannot be written.
    """
    files.ensure_directory(rendezvous.parent)
    files.write_whole(rendezvous, json_text.encode({"experiment_id": experiment_id}))


def wait_for_rank_0(index: Index, rendezvous: Path, rank: int) -> ExperimentRecord | None:
    """The record of the experiment that rank 0 has made; None, with a warning, if it made none in time.

    Args:
        index: the index of the base directory.
        rendezvous: the file from `open_rendezvous`.
        rank: the rank of this process, for the message.
    """
    begin = time.monotonic()
    given_id = os.environ.get(EXPERIMENT_VARIABLE)
    while (waited_s := time.monotonic() - begin) < WAIT_S:
        record = _read_record(index, given_id) if given_id else _read_rendezvous(index, rendezvous, waited_s)
        if record is not None:
            return record
        time.sleep(_POLL_S)
    warn(
        f"rank {rank} has waited {WAIT_S:.0f} s in {index.layout.root} for the experiment of rank 0 and goes on "
        f"without one; make sure that rank 0 starts an experiment too, or pass rank=0 where this is one of its own"
    )
    return None


def _read_rendezvous(index: Index, rendezvous: Path, waited_s: float) -> ExperimentRecord | None:
    try:
        content = json_text.decode_object(rendezvous.read_bytes(), rendezvous)
    except (FileNotFoundError, errors.DamagedFileError):
        return None
    record = _read_record(index, str(content.get("experiment_id")))
    if record is None or record.status is Status.RUNNING:
        return record
    # An experiment that has ended belongs to an earlier launch with the same address and port, or is a very short one
    # of this launch. Rank 0 of this launch may not have started yet, so it gets time to replace the file.
    age_s = (datetime.now(UTC) - record.attempts[-1].started_at).total_seconds() if record.attempts else _SKEW_S
    return record if waited_s > _PATIENCE_S and age_s < waited_s + _SKEW_S else None


def _read_record(index: Index, experiment_id: str) -> ExperimentRecord | None:
    if not identifiers.is_folder_name(experiment_id):
        return None
    try:
        return current_record.read_current(index.layout, experiment_id)
    except (OSError, errors.DamagedFileError, errors.NewerFormatError):
        return None
