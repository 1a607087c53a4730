"""runbook itself, as a training script uses it."""

import json
import os
from pathlib import Path

import workload

TITLE = "runbook"
PACKAGE = None
IMPORT = "from runbook import experiment, tracked, ExperimentManager"
ENVIRONMENT = {}
ABSENT = {}
INDEX = "experiment_registry.json"
LISTING_COMMAND = ("runbook", "--dir", "{base}", "ls")


def connect(base):
    from runbook import ExperimentManager

    return ExperimentManager(base)


def run(session, name, config, body):
    with session.experiment(config, name=name) as exp:
        metrics = body(exp.log)
        if metrics is not None:
            exp.save_final_metrics(metrics)


def captured(base):
    """Whether the commit, the uncommitted change and the packages have been recorded."""
    (path,) = Path(base).glob("*/logs/environment.json")
    environment = json.loads(path.read_bytes())
    git = environment["git"] or {}
    return bool(git.get("commit") and path.with_name("uncommitted.patch").exists() and environment["packages"])


def count(base):
    return len(connect(base).list_experiments("completed"))


def listing(base):
    manager = connect(base)
    if hasattr(manager, "find"):
        found = manager.find("config.learning_rate < 1e-3", status="completed", sort="-metrics.f1")
        return [entry["custom_name"] for entry in found]
    wanted = [entry for entry in manager.list_experiments("completed") if workload.is_wanted(entry["config"])]
    return [entry["custom_name"] for entry in sorted(wanted, key=lambda entry: -entry["metrics"]["f1"])]


def history(base):
    manager = connect(base)
    (entry,) = manager.list_experiments()
    return manager.get_experiment(entry["experiment_id"]).history()


def compare(base, names):
    return connect(base).compare_experiments(names)["config_diff"]


def prepare(base, count):
    """Copies of one real experiment: its folder, its record and its line in the registry, with its own values."""
    import shutil

    run(connect(base), workload.name(0), workload.config(0), lambda log: workload.metrics(0))
    registry = Path(base, "experiment_registry.json")
    (line,) = json.loads(registry.read_bytes())["experiments"]
    template = Path(base, line["experiment_id"])
    record = json.loads(Path(template, "experiment.json").read_bytes())
    environment = Path(template, "logs", "environment.json").read_bytes()
    lines = [json.dumps(line)]
    for index in range(1, count):
        own = {
            "config": workload.config(index),
            "metrics": workload.metrics(index),
            "custom_name": workload.name(index),
        }
        # One second a thousand ids, so that they sort as they were made.
        minutes, second = divmod(index // 1000, 60)
        own["experiment_id"] = f"20250101_12{minutes:02}{second:02}_{workload.name(index)}_{index:08x}"
        own["timestamp"] = f"2025-01-01T12:{minutes:02}:{second:02}.{index % 1000:03}000+00:00"
        folder = Path(base, own["experiment_id"])
        for inner in ("checkpoints", "results", "metrics", "logs"):
            os.makedirs(folder / inner)
        (folder / "experiment.json").write_text(json.dumps({**record, **own, "checksums": {}}, indent=2) + "\n")
        (folder / "config.json").write_text(json.dumps(own["config"], indent=2) + "\n")
        (folder / "logs" / "environment.json").write_bytes(environment)
        (folder / "metrics" / "final_summary.json").write_text(json.dumps(own["metrics"], indent=2) + "\n")
        lines.append(json.dumps({**line, **own, "directory": str(folder)}))
    # The one that was really made is the newest.
    lines.append(lines.pop(0))
    registry.write_text('{"experiments": [\n' + ",\n".join(lines) + "\n]}\n")
    shutil.rmtree(Path(base, ".runbook"))
