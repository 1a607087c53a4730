"""Trackio, local: its API is that of Weights & Biases, its store SQLite."""

import json
import os
import sqlite3

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


def prepare(base, count):
    """Copies of the rows of one real run, each with its own values."""
    run(connect(base), workload.name(0), workload.config(0), lambda log: workload.metrics(0))
    with sqlite3.connect(f"{base}/bench.db") as database:
        for table, content, own in (
            ("configs", "config", workload.config),
            ("metrics", "metrics", workload.metrics),
        ):
            found = database.execute(f"SELECT * FROM {table}")
            columns = [column[0] for column in found.description]
            (template,) = [dict(zip(columns, row, strict=True)) for row in found]
            marks = ", ".join("?" * len(columns))
            database.executemany(
                f"INSERT INTO {table} VALUES ({marks})",
                (tuple(_copy(template, content, own(index), index).values()) for index in range(1, count)),
            )


def _copy(template, content, own, index):
    row = {**template, "id": None, "run_id": f"{index:032x}", "run_name": workload.name(index)}
    row[content] = json.dumps({**json.loads(template[content]), **own}).encode()
    return {**row, "log_id": f"{index:032x}"} if "log_id" in row else row
