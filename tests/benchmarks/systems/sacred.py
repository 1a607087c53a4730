"""Sacred with its FileStorageObserver."""

import json
import os
from pathlib import Path

import workload

TITLE = "Sacred, files"
PACKAGE = "sacred"
IMPORT = "from sacred import Experiment; from sacred.observers import FileStorageObserver"
ENVIRONMENT = {}
ABSENT = {"compare": "it has nothing that reads its files"}


def connect(base):
    import logging

    import sacred
    from sacred.observers import FileStorageObserver

    logging.getLogger("sacred").setLevel(logging.WARNING)
    # Capturing the output redirects file descriptors, at each run; the others here do not do that.
    sacred.SETTINGS.CAPTURE_MODE = "no"
    os.makedirs(base, exist_ok=True)
    return sacred.Experiment, FileStorageObserver(base)


def run(session, name, config, body):
    make, observer = session
    experiment = make(name, save_git_info=False)
    experiment.observers.append(observer)
    experiment.add_config(config)

    @experiment.main
    def main(_run):
        def log(values, step):
            for series, value in values.items():
                _run.log_scalar(series, value, step)

        metrics = body(log)
        if metrics is not None:
            _run.info["metrics"] = metrics

    experiment.run()


def _runs(base):
    # Only a server with a database lists them; of files, everybody reads what is there.
    for path in Path(base).glob("[0-9]*/run.json"):
        run = json.loads(path.read_text())
        if run["status"] == "COMPLETED":
            yield path.parent, run


def count(base):
    return sum(1 for _ in _runs(base))


def listing(base):
    found = []
    for folder, run in _runs(base):
        if workload.is_wanted(json.loads((folder / "config.json").read_text())):
            f1 = json.loads((folder / "info.json").read_text())["metrics"]["f1"]
            found.append((f1, run["experiment"]["name"]))
    return [name for _, name in sorted(found, reverse=True)]


def history(base):
    # It writes them every ten seconds and at the end.
    for path in Path(base).glob("[0-9]*/metrics.json"):
        series = json.loads(path.read_text())
        return {name: series[name]["values"] for name in workload.SERIES if name in series}
    return {}


def prepare(base, count):
    """Copies of one real run, each with its own values."""
    run(connect(base), workload.name(0), workload.config(0), lambda log: workload.metrics(0))
    (template,) = Path(base).glob("[0-9]*/run.json")
    record = json.loads(template.read_text())
    seed = json.loads((template.parent / "config.json").read_text())
    for index in range(1, count):
        folder = Path(base, str(index + 1))
        folder.mkdir()
        name = {"experiment": {**record["experiment"], "name": workload.name(index)}}
        (folder / "run.json").write_text(json.dumps({**record, **name}, indent=2, sort_keys=True))
        (folder / "config.json").write_text(json.dumps({**seed, **workload.config(index)}, indent=2, sort_keys=True))
        (folder / "info.json").write_text(json.dumps({"metrics": workload.metrics(index)}, indent=2, sort_keys=True))
        (folder / "metrics.json").write_text("{}")
        (folder / "cout.txt").write_text("")
