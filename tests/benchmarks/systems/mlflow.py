"""MLflow with its SQLite store, through the fluent API."""

import os
import sqlite3

import workload

TITLE = "MLflow, SQLite"
PACKAGE = "mlflow"
IMPORT = "import mlflow"
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}
ABSENT = {"compare": "comparing is a page of its server"}
INDEX = "mlflow.db"


def connect(base):
    import mlflow

    os.makedirs(base, exist_ok=True)
    mlflow.set_tracking_uri(f"sqlite:///{base}/mlflow.db")
    if mlflow.get_experiment_by_name("bench") is None:
        try:
            mlflow.create_experiment("bench", artifact_location=f"{base}/artifacts")
        except mlflow.exceptions.MlflowException:
            # Another process was faster.
            assert mlflow.get_experiment_by_name("bench") is not None
    mlflow.set_experiment("bench")
    return mlflow


def run(session, name, config, body):
    with session.start_run(run_name=name):
        session.log_params(config)
        metrics = body(session.log_metrics)
        if metrics is not None:
            session.log_metrics(metrics)


def _runs(base):
    mlflow = connect(base)
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("bench")
    token = None
    while token != "":
        page = client.search_runs(
            [experiment.experiment_id],
            "attributes.status = 'FINISHED'",
            max_results=10_000,
            order_by=["metrics.f1 DESC"],
            page_token=token,
        )
        yield from page
        token = page.token or ""


def count(base):
    connect(base)
    # Counting through its API takes as long as a listing, which is many minutes for 100,000.
    with sqlite3.connect(f"{base}/mlflow.db") as database:
        return database.execute("SELECT COUNT(*) FROM runs WHERE status = 'FINISHED'").fetchone()[0]


def listing(base):
    # Params are strings there, which a filter cannot compare as numbers.
    return [run.info.run_name for run in _runs(base) if workload.is_wanted(run.data.params)]


def history(base):
    mlflow = connect(base)
    client = mlflow.MlflowClient()
    (run,) = client.search_runs([client.get_experiment_by_name("bench").experiment_id])
    return {name: [m.value for m in client.get_metric_history(run.info.run_id, name)] for name in workload.SERIES}


def prepare(base, count):
    """Copies of the rows of one real run, each with its own values."""
    run(connect(base), workload.name(0), workload.config(0), lambda log: workload.metrics(0))
    with sqlite3.connect(f"{base}/mlflow.db") as database:
        for table in ("runs", "params", "metrics", "latest_metrics", "tags"):
            found = database.execute(f"SELECT * FROM {table}")
            columns = [column[0] for column in found.description]
            templates = [dict(zip(columns, row, strict=True)) for row in found]
            marks = ", ".join("?" * len(columns))
            rows = (_copy(table, template, index) for index in range(1, count) for template in templates)
            database.executemany(f"INSERT INTO {table} VALUES ({marks})", (tuple(row.values()) for row in rows))


def _copy(table, template, index):
    row = {**template, "run_uuid": f"{index:032x}"}
    if table == "runs":
        row["name"] = workload.name(index)
        row["artifact_uri"] = template["artifact_uri"].replace(template["run_uuid"], row["run_uuid"])
    elif table == "params":
        row["value"] = str(workload.config(index)[row["key"]])
    elif table in {"metrics", "latest_metrics"}:
        row["value"] = workload.metrics(index)[row["key"]]
    elif row["key"] == "mlflow.runName":
        row["value"] = workload.name(index)
    return row
