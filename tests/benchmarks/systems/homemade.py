"""The manager that everybody writes: one JSON registry, read, changed and rewritten under a lock."""

import json
import os
import time
from pathlib import Path

import workload

TITLE = "home-made registry"
PACKAGE = None
IMPORT = "import json, os, time, filelock"
ENVIRONMENT = {}
ABSENT = {}
INDEX = "experiment_registry.json"


class Manager:
    def __init__(self, base):
        import filelock

        self.base = Path(base)
        self.base.mkdir(parents=True, exist_ok=True)
        self.registry = self.base / "experiment_registry.json"
        self.lock = filelock.FileLock(self.base / "registry.lock")

    def entries(self):
        return json.loads(self.registry.read_text())["experiments"] if self.registry.exists() else []

    def save(self, entries):
        self.registry.write_text(json.dumps({"experiments": entries}, indent=2))

    def start(self, name, config):
        experiment_id = f"{time.strftime('%Y%m%d_%H%M%S')}_{name}_{os.urandom(4).hex()}"
        folder = self.base / experiment_id
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(config, indent=2))
        with self.lock:
            self.save([*self.entries(), entry(experiment_id, name, config, "running")])
        return folder

    def finish(self, folder, history, metrics):
        if history:
            (folder / "history.json").write_text(json.dumps(history))
        with self.lock:
            entries = self.entries()
            for one in entries:
                if one["experiment_id"] == folder.name:
                    one.update(status="completed", completed_at=time.time(), metrics=metrics or {})
            self.save(entries)


def entry(experiment_id, name, config, status, metrics=None):
    return {
        "experiment_id": experiment_id,
        "timestamp": time.time(),
        "status": status,
        "custom_name": name,
        "config": config,
        "metrics": metrics or {},
        "completed_at": None,
    }


def connect(base):
    return Manager(base)


def run(session, name, config, body):
    folder = session.start(name, config)
    history = []
    metrics = body(lambda values, step: history.append({"step": step, **values}))
    session.finish(folder, history, metrics)


def count(base):
    return sum(one["status"] == "completed" for one in Manager(base).entries())


def listing(base):
    wanted = [
        one for one in Manager(base).entries() if one["status"] == "completed" and workload.is_wanted(one["config"])
    ]
    return [one["custom_name"] for one in sorted(wanted, key=lambda one: -one["metrics"]["f1"])]


def history(base):
    paths = list(Path(base).glob("*/history.json"))
    rows = [row for path in paths for row in json.loads(path.read_text())]
    return {name: [row[name] for row in rows] for name in workload.SERIES}


def compare(base, names):
    chosen = [one for one in Manager(base).entries() if one["custom_name"] in set(names)]
    settings = {key for one in chosen for key in one["config"]}
    columns = {key: {one["experiment_id"]: one["config"].get(key) for one in chosen} for key in settings}
    return {key: column for key, column in columns.items() if len(set(map(repr, column.values()))) > 1}


def prepare(base, count):
    manager = Manager(base)
    entries = []
    for index in range(count):
        experiment_id = f"20250101_120000_{workload.name(index)}_{index:08x}"
        config = workload.config(index)
        (manager.base / experiment_id).mkdir()
        (manager.base / experiment_id / "config.json").write_text(json.dumps(config, indent=2))
        entries.append(entry(experiment_id, workload.name(index), config, "completed", workload.metrics(index)))
    manager.save(entries)
