"""Weights & Biases, offline."""

import json
import os
from pathlib import Path

import workload

from systems import copies
from systems.leveldb_log import records

TITLE = "W&B, offline"
PACKAGE = "wandb"
IMPORT = "import wandb"
ENVIRONMENT = {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_ERROR_REPORTING": "false"}
ABSENT = {
    "list": "offline runs are listed by nothing but a server that they are synchronised to",
    "compare": "comparing is a page of its server",
    "history": "offline runs are read by nothing but a server that they are synchronised to",
}


def connect(base):
    os.makedirs(base, exist_ok=True)
    import wandb

    return wandb, base


def run(session, name, config, body):
    wandb, base = session
    with wandb.init(project="bench", name=name, config=config, dir=base) as run:
        metrics = body(run.log)
        if metrics is not None:
            run.summary.update(metrics)


def _logs(base):
    return Path(base).glob("wandb/offline-run-*/run-*.wandb")


def _records(path):
    from wandb.proto import wandb_internal_pb2

    for data in records(path, header=7):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        yield record


def count(base):
    return sum(any(record.WhichOneof("record_type") == "exit" for record in _records(path)) for path in _logs(base))


def survivors(base):
    (path,) = _logs(base)
    rows = []
    for record in _records(path):
        if record.WhichOneof("record_type") == "history":
            items = record.history.item
            rows.append({item.key or item.nested_key[0]: json.loads(item.value_json) for item in items})
    return {name: [row.get(name) for row in rows] for name in workload.SERIES}


def prepare(base, count):
    """Copies of the folder of one real run."""
    run(connect(base), workload.name(0), workload.config(0), lambda log: workload.metrics(0))
    (log,) = _logs(base)
    copies.of(log.parent, (f"offline-run-20250101_120000-{index:08x}" for index in range(1, count)))
