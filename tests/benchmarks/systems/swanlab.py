"""SwanLab, offline."""

import os
from pathlib import Path

import workload

from systems import copies
from systems.leveldb_log import records

TITLE = "SwanLab, offline"
PACKAGE = "swanlab"
IMPORT = "import swanlab"
ENVIRONMENT = {"SWANLAB_MODE": "offline"}
ABSENT = {
    "list": "offline runs are listed by nothing but a server that they are synchronised to",
    "compare": "comparing is a page of its server",
    "history": "offline runs are read by nothing but a server that they are synchronised to",
}


def connect(base):
    os.makedirs(base, exist_ok=True)
    import swanlab

    return swanlab, base


def run(session, name, config, body):
    swanlab, base = session
    swanlab.init(project="bench", experiment_name=name, config=config, logdir=base, mode="offline")
    metrics = body(swanlab.log)
    if metrics is not None:
        swanlab.log(metrics)
    swanlab.finish()


def _logs(base):
    return Path(base).glob("run-*/run-*.swanlab")


def _records(path):
    from swanlab.proto.swanlab.record.v1.record_pb2 import Record

    for data in records(path, header=7):
        record = Record()
        record.ParseFromString(data)
        yield record


def count(base):
    return sum(any(record.HasField("finish") for record in _records(path)) for path in _logs(base))


def survivors(base):
    series = {name: [] for name in workload.SERIES}
    for path in _logs(base):
        for record in _records(path):
            if record.HasField("scalar") and record.scalar.key in series:
                series[record.scalar.key].append(record.scalar.value.number)
    return series


def prepare(base, count):
    """Copies of the folder of one real run."""
    run(connect(base), workload.name(0), workload.config(0), lambda log: workload.metrics(0))
    (log,) = _logs(base)
    copies.of(log.parent, (f"run-20250101_120000-{index:08x}" for index in range(1, count)))
