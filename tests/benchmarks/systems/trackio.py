"""Trackio, local: its API is that of Weights & Biases, its store SQLite."""

import os

import workload

TITLE = "Trackio"
PACKAGE = "trackio"
IMPORT = "import trackio"
ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "GRADIO_ANALYTICS_ENABLED": "False"}
ABSENT = {"compare": "comparing is a page of its dashboard"}
INDEX = "bench.db"


def connect(base):
    os.makedirs(base, exist_ok=True)
    os.environ["TRACKIO_DIR"] = base
    import trackio

    return trackio


def run(session, name, config, body):
    run = session.init(project="bench", name=name, config=config, embed=False)
    metrics = body(run.log)
    if metrics is not None:
        run.log(metrics)
    session.finish()


def _runs(base):
    return connect(base).Api().runs("bench")


def count(base):
    # It has no status: what is there counts.
    try:
        return len(_runs(base))
    except ValueError:
        return 0


def listing(base):
    runs = _runs(base)
    from trackio.sqlite_storage import SQLiteStorage

    wanted = [run for run in runs if workload.is_wanted(run.config)]
    found = [(SQLiteStorage.get_logs("bench", run.name, run_id=run.id), run.name) for run in wanted]
    return [name for logs, name in sorted(found, key=lambda one: -one[0][-1]["f1"])]


def history(base):
    try:
        (run,) = _runs(base)
    except ValueError:
        # Nothing has reached the database.
        return {}
    from trackio.sqlite_storage import SQLiteStorage

    logs = SQLiteStorage.get_logs("bench", run.name, run_id=run.id)
    return {name: [row.get(name) for row in logs] for name in workload.SERIES}
