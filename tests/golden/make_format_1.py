"""Make the golden folder `format-1`: a base directory in format 1, with an experiment of each kind.

This program was run once, with the code of commit 7d4ba35, and its folder was committed. It must never be run again
for that folder: what later code writes is no proof that later code reads what this code wrote. It stays here to tell
how the folder came about, and as a pattern for the one that makes the next format's folder.

    python tests/golden/make_format_1.py CHECKOUT      # the root of a checkout of that commit

All that is written comes from real programs in a virtual environment below `PROJECT`, on a machine that is made up: its
name, its user, its boot and the numbers that identify it are those of `MACHINE`.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import venv
from pathlib import Path

PROJECT = Path("/home/you/project")
BASE = PROJECT / "experiments"
GOLDEN = Path(__file__).resolve().parent / "format-1"

MACHINE = """
import os

HOST = os.environ.get("GOLDEN_HOST", "laptop")
os.uname = lambda: os.uname_result(("Linux", HOST, "6.8.0-45-generic", "#45-Ubuntu SMP", "x86_64"))
os.cpu_count = lambda: 8

from runbook import liveness

IDENTITY = {
    "/etc/machine-id": {"laptop": "11" * 16, "cluster-7": "77" * 16}[HOST],
    "/proc/sys/kernel/random/boot_id": f"0f0f0f0f-0000-4000-8000-{ {'laptop': 1, 'cluster-7': 7}[HOST]:012d}",
}
read = liveness._read
liveness._read = lambda path: IDENTITY[path] if path in IDENTITY else read(path)
liveness._link = lambda path: liveness._INITIAL_PID_NAMESPACE
liveness._memory_events = lambda: "/sys/fs/cgroup/user.slice/user-1000.slice/memory.events"
liveness._oom_kills = lambda path: 0
"""

LEGACY = {
    "experiments": [
        {
            "experiment_id": "20241216_143052_legacy_a1b2c3d4",
            "timestamp": "2024-12-16T14:30:52.123456",
            "status": "completed",
            "custom_name": "legacy",
            "description": "by ExperimentManager.py",
            "config": {"learning_rate": 2e-05, "batch_size": 16, "save_dir": "./checkpoints"},
            "directory": "experiments/20241216_143052_legacy_a1b2c3d4",
            "completed_at": "2024-12-16T15:30:52.123456",
            "notes": "the first",
            "rating": 5,
        },
        {
            "experiment_id": "20241217_090000_legacy without folder_0badcafe",
            "timestamp": "2024-12-17T09:00:00.000001",
            "status": "failed",
            "custom_name": "legacy without folder",
            "description": None,
            "config": {"learning_rate": 3e-05},
            "directory": "experiments/20241217_090000_legacy without folder_0badcafe",
        },
    ],
    "owner": {"team": "nlp"},
}

COMPLETED = """
import matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as pyplot
from pathlib import Path
from types import SimpleNamespace
from runbook import experiment

config = {
    "learning_rate": 0.001, "epochs": 3, "optimizer": {"name": "adam", "betas": [0.9, 0.999]}, "limit": float("inf"),
    "augment": None, "api_key": "hunter2", "save_dir": "checkpoints",
}
with experiment(config, name="baseline", description="with each kind of file", tags=["first", "nlp"]) as exp:
    for step in range(3):
        exp.log({"train": {"loss": 1 / (step + 1)}, "val_f1": 0.5 + step / 10}, step=step)
        exp.progress(step + 1, 3)
    exp.log(grad_norm=float("nan"))
    exp.save_training_history()
    exp.save_predictions({"y_true": [0, 1, 1], "y_pred": [0, 1, 0]})
    exp.save_predictions([{"text": "grüße", "label": 1}, {"text": "b", "label": 0}], "test_predictions.json")
    exp.save_predictions([{"id": 1, "p": 0.5}], "rows.jsonl")
    exp.save_predictions([{"id": 1, "p": 0.5}], "rows.csv")
    exp.save_bias_metrics({"subgroup_auc": 0.8}, {"women": {"auc": 0.81}})
    exp.save_xai_metrics({"plausibility": {"iou_f1": 0.4}})
    Path("eraser.jsonl").write_text('{"annotation_id": "1", "rationales": []}\\n')
    exp.save_eraser_results("eraser.jsonl")
    exp.save_metrics("per_class", {"spam": {"f1": 0.7}})
    exp.save_artifact(b"\\x00\\x01", "blob.bin")
    exp.save_artifact({"threshold": 0.4}, "threshold.json")
    exp.save_artifact("eraser.jsonl")
    (Path(exp.config["save_dir"]) / "best_model").mkdir()
    (Path(exp.config["save_dir"]) / "best_model" / "weights.json").write_text("[1.0, 2.0]")
    figure, axes = pyplot.subplots(figsize=(1, 1), dpi=40)
    axes.plot([1, 2, 3])
    exp.save_figure(figure, "loss.png")
    exp.save_final_metrics({"test": {"f1": 0.9, "loss": float("inf")}, "accuracy": 0.95})
    exp.note("looks good\\nsecond line")
"""
TRACKED = """
from runbook import tracked

@tracked(name="function", skip_completed=True, tags="nightly")
def train(learning_rate, *, seed=0):
    return {"f1": learning_rate * 2, "seed_used": seed}

train(0.25, seed=7)
train(0.25, seed=7)
"""
FAILED = """
from runbook import experiment

with experiment({"lr": 3}, name="failed") as exp:
    exp.log(loss=1.0)
    exp.log(loss=float("nan"))
    try:
        [][0]
    except IndexError as error:
        raise ValueError("the loss is NaN, über alles") from error
"""
SLEEPING = """
import sys, time
from runbook import experiment

with experiment({"lr": 0.1, "program": sys.argv[1]}, name=sys.argv[1]) as exp:
    for step in range(3):
        exp.log(loss=0.5 - step / 10, step=step)
    exp.progress(3, 100)
    print("ready", flush=True)
    time.sleep(600)
"""
EXIT = """
import sys
from runbook import experiment

with experiment({"lr": 0.1}, name="exit 3") as exp:
    sys.exit(3)
"""
RESUMED = """
import sys
from runbook import experiment

lr, is_failing = float(sys.argv[1]), sys.argv[2] == "fail"
with experiment({"lr": lr, "seed": 1}, name="resumed", resume="allow", allow_config_change=True, tags=sys.argv[2]) as exp:
    for _ in range(2):
        exp.log(loss=lr)
    if is_failing:
        raise RuntimeError("out of patience")
    exp.save_final_metrics({"f1": 0.75})
"""
REQUEUED = """
import os, signal
from runbook import experiment

with experiment({"lr": 0.5}, name="requeued", resume="auto") as exp:
    exp.log(loss=1)
    if os.environ["SLURM_RESTART_COUNT"] == "0":
        os.kill(os.getpid(), signal.SIGTERM)
"""
FAMILY = """
from runbook import experiment

with experiment({"folds": 2}, name="cross validation") as parent:
    for fold in range(2):
        with experiment({"fold": fold}, name=f"fold {fold}") as child:
            child.log(f1=0.6 + fold / 10)
    parent.save_final_metrics({"f1": 0.65})
"""
RANKS = """
import os, time
from runbook import experiment

with experiment({"lr": 0.1, "world": 2}, name="distributed") as exp:
    exp.log(loss=0.1)
    (exp.results_dir / f"rank-{os.environ['RANK']}.txt").write_text("mine")
    time.sleep(3)
"""
LEGACY_API = """
from dataclasses import dataclass
from runbook import ExperimentManager

@dataclass
class TrainingConfig:
    model_name: str = "distilbert-base-uncased"
    learning_rate: float = 2e-5
    save_dir: str = "./checkpoints"

manager = ExperimentManager("./experiments")
manager.create_experiment(TrainingConfig(), custom_name="by the guide", description="create and mark")
manager.save_training_history({"train_loss": [1.0, 0.5], "val_f1": [0.5, 0.6]})
manager.save_final_metrics({"f1": 0.6})
manager.mark_complete(notes="as the guide does it")
"""
ABANDONED = """
from runbook import ExperimentManager

ExperimentManager("./experiments").create_experiment({"lr": 9}, custom_name="abandoned")
"""
ODD = """
from runbook import experiment

with experiment({"größe": 1, "\\u202e": "<b>"}, name="Ünï/cødé 🙂", tags=["a b", "=1+1"]):
    pass
with experiment({"lr": 4}, name="broken"):
    pass
with experiment({"lr": 5}, name="deleted") as exp:
    exp.log(loss=5)
with experiment(name="empty"):
    pass
"""
OUTSIDE = """
import warnings
from pathlib import Path
from runbook import ExperimentManager

manager = ExperimentManager("./experiments")
manager.add_note("baseline", "from outside")
manager.add_tags("baseline", "paper", "wrong")
manager.remove_tags("baseline", "wrong", "first")
manager.add_note("legacy", "still the best")
manager.declare_ended(manager.find(name="declared")[0]["experiment_id"], "failed", "somebody pulled the plug")
manager.delete_experiment("deleted")
(manager.get_experiment("broken").path / "experiment.json").write_text('{"format_version": 1')
warnings.simplefilter("ignore")
manager.repair()
for name in ("baseline", "resumed"):
    manager.export_experiment(name, f"{name}.zip")
manager.list_experiments()
"""
PENDING = """
import os, signal
from runbook import ExperimentManager
from runbook.registry import Registry

# Killed between the note and the index, so that the mark stays.
Registry.publish = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
ExperimentManager("./experiments").add_note("failed", "never listed")
"""


def main() -> None:
    if GOLDEN.exists():
        raise SystemExit(f"{GOLDEN} is there, and must never be made again")
    checkout = Path(sys.argv[1]).resolve()
    PROJECT.mkdir(parents=True)
    try:
        prepare(checkout)
        make_experiments()
        GOLDEN.mkdir()
        shutil.copytree(BASE, GOLDEN / "experiments")
        for name in ("baseline.zip", "resumed.zip"):
            shutil.copy(PROJECT / name, GOLDEN)
    finally:
        shutil.rmtree(PROJECT)


def prepare(checkout: Path) -> None:
    """Make the project of somebody who works with runbook: a repository with an environment."""
    venv.create(PROJECT / ".venv", with_pip=True)
    source = PROJECT / "source"
    shutil.copytree(checkout, source, ignore=shutil.ignore_patterns(".git", ".venv"))
    python("-m", "pip", "install", "--quiet", "--quiet", str(source), "matplotlib").check_returncode()
    shutil.rmtree(source)
    (PROJECT / "machine.py").write_text(MACHINE)
    (PROJECT / "train.py").write_text("print('before')\n")
    (PROJECT / ".gitignore").write_text(".venv/\nexperiments/\n__pycache__/\n*.zip\n")
    git("init", "--quiet", "--initial-branch=main")
    git("remote", "add", "origin", "https://you:secret@git.example.org/you/project.git")
    git("add", ".gitignore", "train.py")
    git("commit", "--quiet", "--message", "First")
    BASE.mkdir()
    legacy = BASE / LEGACY["experiments"][0]["experiment_id"]
    for folder in ("checkpoints", "results", "metrics", "logs"):
        (legacy / folder).mkdir(parents=True)
    (legacy / "config.json").write_text(json.dumps(LEGACY["experiments"][0]["config"], indent=2))
    (legacy / "metrics" / "final_summary.json").write_text(
        json.dumps({"f1": 0.87, "per_class": {"spam": 0.8}}, indent=2)
    )
    (legacy / "checkpoints" / "best_model.json").write_text("[1.0]")
    (BASE / "experiment_registry.json").write_text(json.dumps(LEGACY, indent=2))


def make_experiments() -> None:
    run(COMPLETED)
    run(TRACKED)
    run(FAILED, expected=1)
    end(start(SLEEPING, "terminated"), signal.SIGTERM)
    end(start(SLEEPING, "ctrl-c"), signal.SIGINT)
    end(start(SLEEPING, "killed"), signal.SIGKILL)
    end(start(SLEEPING, "elsewhere", GOLDEN_HOST="cluster-7"), signal.SIGKILL)
    end(start(SLEEPING, "declared", GOLDEN_HOST="cluster-7"), signal.SIGKILL)
    run(EXIT, expected=3)
    run(RESUMED, "0.1", "fail", expected=1)
    run(RESUMED, "0.2", "end")
    job = {"SLURM_JOB_ID": "4711", "SLURM_JOB_NAME": "train"}
    run(REQUEUED, expected=-signal.SIGTERM, SLURM_RESTART_COUNT="0", **job)
    run(REQUEUED, SLURM_RESTART_COUNT="1", **job)
    run(FAMILY)
    launch = {"WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}
    for rank in [start(RANKS, RANK=str(rank), **launch) for rank in range(2)]:
        if rank.wait() != 0:
            raise SystemExit("a rank failed")
    run(LEGACY_API)
    run(ABANDONED)
    run(ODD)
    run(OUTSIDE)
    run(PENDING, expected=-signal.SIGKILL)


def start(code: str, *args: str, **variables: str) -> subprocess.Popen[str]:
    """Start a program of the project, whose changes are not committed."""
    (PROJECT / "train.py").write_text(f"import machine\n{textwrap.dedent(code)}")
    return subprocess.Popen(
        [PROJECT / ".venv" / "bin" / "python", "train.py", *args],
        cwd=PROJECT,
        env=environment(**variables),
        stdout=subprocess.PIPE,
        text=True,
    )


def run(code: str, *args: str, expected: int = 0, **variables: str) -> None:
    process = start(code, *args, **variables)
    process.communicate()
    if process.returncode != expected:
        raise SystemExit(f"ended by {process.returncode}:\n{code}")


def end(process: subprocess.Popen[str], signum: int) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signum)
    process.communicate()


def python(*args: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([PROJECT / ".venv" / "bin" / "python", *args], cwd=PROJECT, check=False)


def git(*args: str) -> None:
    identity = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in WHO.items()}
    subprocess.run(["git", *args], cwd=PROJECT, check=True, env={**os.environ, **identity})


WHO = {"NAME": "You", "EMAIL": "you@example.org"}


def environment(**variables: str) -> dict[str, str]:
    return {
        "PATH": os.defpath,
        "HOME": str(PROJECT.parent),
        "LOGNAME": "you",
        "VIRTUAL_ENV": str(PROJECT / ".venv"),
        "PYTHONHASHSEED": "0",
        "MPLCONFIGDIR": str(PROJECT / ".venv"),
        **variables,
    }


if __name__ == "__main__":
    main()
