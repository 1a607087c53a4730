"""MLflow with its SQLite store, through the fluent API."""

import os

import workload

TITLE = "MLflow, SQLite"
PACKAGE = "mlflow"
IMPORT = "import mlflow"
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_AGENT_TIPS": "true",
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
    return sum(1 for _ in _runs(base))


def listing(base):
    # Params are strings there, which a filter cannot compare as numbers.
    return [run.info.run_name for run in _runs(base) if workload.is_wanted(run.data.params)]


def history(base):
    mlflow = connect(base)
    client = mlflow.MlflowClient()
    (run,) = client.search_runs([client.get_experiment_by_name("bench").experiment_id])
    return {name: [m.value for m in client.get_metric_history(run.info.run_id, name)] for name in workload.SERIES}
