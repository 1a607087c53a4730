"""The floor: what the operating system needs for the bytes and the fsyncs that make an experiment of runbook durable.

In it: the folder with its four folders; `experiment.json`, `config.json`, `logs/uncommitted.patch` where it is started in
a repository with a change, and `logs/environment.json`, each to a temporary name, fsynced and renamed; the fsyncs of the
three directories that have new names then; at the end `experiment.json` once more, with its directory. Both times the
index, as large as that of the experiments that the floor itself has made, is written anew under a temporary name, fsynced
and renamed. For a run that logs: one `json.dumps` and one `write` a line, and an fsync of the history at the end; for
reading that back: `json.loads` of each line.
Not in it: making the bytes of those files, finding a line in the index, the locks, and every promise beyond that they are
on the disk.
"""

import itertools
import json
import os
import tempfile
from pathlib import Path

import workload

TITLE = "floor (the same bytes and fsyncs)"
PACKAGE = None
ENVIRONMENT = {}
ABSENT = {
    "import": "it is no library",
    "first": "it captures nothing",
    "list": "it has no index",
    "compare": "it has no index",
    "host": "it is no library",
}


class Floor:
    def __init__(self, base):
        os.makedirs(base, exist_ok=True)
        self.base, self.numbers = base, itertools.count()
        self.birth, self.written, self.end, self.line = bytes_of_runbook()
        self.index = b""


def connect(base):
    return Floor(base)


def write_whole(path, data):
    descriptor = os.open(path + ".tmp", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    os.write(descriptor, data)
    os.fsync(descriptor)
    os.close(descriptor)
    os.rename(path + ".tmp", path)


def fsync_directory(path):
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(descriptor)
    os.close(descriptor)


def run(session, name, config, body):
    folder = f"{session.base}/{name}-{os.getpid()}-{next(session.numbers)}"
    for path in (folder, *(f"{folder}/{inner}" for inner in ("checkpoints", "results", "metrics", "logs"))):
        os.mkdir(path)
    write_whole(f"{folder}/experiment.json", session.birth)
    for file, data in session.written.items():
        write_whole(f"{folder}/{file}", data)
    for path in (f"{folder}/logs", folder, session.base):
        fsync_directory(path)
    session.index += session.line
    write_whole(f"{session.base}/index-{os.getpid()}.json", session.index)
    log = Log(f"{folder}/metrics/history.jsonl")
    body(log)
    log.close()
    write_whole(f"{folder}/experiment.json", session.end)
    fsync_directory(folder)
    write_whole(f"{session.base}/index-{os.getpid()}.json", session.index)


class Log:
    def __init__(self, path):
        self.path, self.descriptor = path, None

    def __call__(self, values, *, step):
        if self.descriptor is None:
            self.descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        row = {"step": step, "time": "2025-01-01T00:00:00.000000+00:00", **values}
        os.write(self.descriptor, json.dumps(row).encode() + b"\n")

    def close(self):
        if self.descriptor is not None:
            os.fsync(self.descriptor)
            os.close(self.descriptor)


def bytes_of_runbook():
    """What runbook itself writes for such an experiment, so that the floor never goes stale."""
    from runbook import experiment

    with tempfile.TemporaryDirectory() as base:
        with experiment(workload.config(0), name=workload.name(0), base_dir=base) as exp:
            birth = (exp.path / "experiment.json").read_bytes()
        written = ("config.json", "logs/uncommitted.patch", "logs/environment.json")
        data = {file: (exp.path / file).read_bytes() for file in written if (exp.path / file).exists()}
        end, line = ((exp.path / file).read_bytes() for file in ("experiment.json", "../experiment_registry.json"))
        return birth, data, end, line


def count(base):
    return len(list(Path(base).glob("*/experiment.json")))


def history(base):
    (path,) = Path(base).glob("*/metrics/history.jsonl")
    rows = [json.loads(line) for line in path.read_bytes().splitlines()]
    return {name: [row[name] for row in rows] for name in workload.SERIES}


def prepare(base, count):
    for index in range(count):
        os.makedirs(f"{base}/{index}")
        Path(base, str(index), "experiment.json").write_bytes(b"{}")
