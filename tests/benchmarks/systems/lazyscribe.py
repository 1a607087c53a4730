"""lazyscribe: one JSON file for a project."""

import json
import os

import workload

TITLE = "lazyscribe"
PACKAGE = "lazyscribe"
IMPORT = "from lazyscribe import Project"
ENVIRONMENT = {}
ABSENT = {
    "log": "it has no metrics over steps",
    "killed": "it has no metrics over steps",
    "history": "it has no metrics over steps",
    "compare": "it compares two versions of a project, not experiments",
}
INDEX = "project.json"


def connect(base):
    from lazyscribe import Project

    os.makedirs(base, exist_ok=True)
    return Project, f"{base}/project.json"


def run(session, name, config, body):
    make, path = session
    # Each experiment opens the project as a script of its own would, and saves it.
    project = make(fpath=path, mode="a" if os.path.exists(path) else "w")
    with project.log(name) as experiment:
        for key, value in config.items():
            experiment.log_parameter(key, value)
        metrics = body(lambda values, step: [experiment.log_metric(*item) for item in values.items()])
        for key, value in (metrics or {}).items():
            experiment.log_metric(key, value)
    project.save()


def _experiments(base):
    make, path = connect(base)
    return make(fpath=path, mode="r").experiments if os.path.exists(path) else []


def count(base):
    return len(_experiments(base))


def listing(base):
    wanted = [one for one in _experiments(base) if workload.is_wanted(one.parameters)]
    return [one.name for one in sorted(wanted, key=lambda one: -one.metrics["f1"])]


def prepare(base, count):
    """Copies of one real experiment, each with its own values."""
    session = connect(base)
    run(session, workload.name(0), workload.config(0), lambda log: workload.metrics(0))
    path = session[1]
    with open(path) as file:
        (template,) = json.load(file)
    entries = [template]
    for index in range(1, count):
        own = {"name": workload.name(index), "parameters": workload.config(index), "metrics": workload.metrics(index)}
        slugs = {key: template[key].replace(workload.name(0), own["name"]) for key in ("slug", "short_slug")}
        entries.append({**template, **own, **slugs})
    with open(path, "w") as file:
        json.dump(entries, file, sort_keys=True, indent=4)
