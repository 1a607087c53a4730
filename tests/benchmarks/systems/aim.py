"""Aim, with its local repository."""

import os
import subprocess
import sys

import workload

TITLE = "Aim"
PACKAGE = "aim"
IMPORT = "from aim import Repo, Run"
ENVIRONMENT = {}
ABSENT = {"compare": "comparing is a page of its interface"}


def connect(base):
    import logging

    import aim

    # At each new run it says that runs are not indexed yet.
    logging.getLogger("aim").setLevel(logging.ERROR)
    os.makedirs(base, exist_ok=True)
    return aim.Run, aim.Repo.from_path(base, init=not os.path.isdir(f"{base}/.aim"))


def run(session, name, config, body):
    make, repo = session
    run = make(repo=repo, experiment="bench", log_system_params=False)
    run.name = name
    run["config"] = config
    metrics = body(lambda values, step: run.track(values, step=step))
    if metrics is not None:
        run["metrics"] = metrics
    run.close()


def count(base):
    _, repo = connect(base)
    return len(set(repo.list_all_runs()) - set(repo.list_active_runs()))


def listing(base):
    _, repo = connect(base)
    query = "run.config.learning_rate < 1e-3 and run.end_time is not None"
    found = [collection.run for collection in repo.query_runs(query, report_mode=0).iter_runs()]
    return [run.name for run in sorted(found, key=lambda run: -run["metrics", "f1"])]


def history(base):
    make, repo = connect(base)
    from aim.storage.context import Context

    (name,) = repo.list_all_runs()
    run = make(name, repo=repo, read_only=True)
    return {name: _by_step(run.get_metric(name, Context({}))) for name in workload.SERIES}


def _by_step(metric):
    # They come in the order of a hash of the step.
    steps, (values, *_) = metric.data.items_list()
    return [value for _, value in sorted(zip(steps, values, strict=True))]


def survivors(base):
    index(base)
    return history(base)


def index(base):
    """What is not indexed is not seen by its queries and curves; a server that runs beside does that."""
    aim = os.path.join(os.path.dirname(sys.executable), "aim")
    subprocess.run([aim, "storage", "--repo", base, "reindex", "-y"], check=True)
