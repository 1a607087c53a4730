"""The raw numbers: a file of JSON lines that grows, so that an interrupted run goes on where it stopped."""

import json
import time
from pathlib import Path


class Results:
    """Each measurement once: one operation of one version of one system with one set of parameters, the nth time."""

    def __init__(self, path):
        self.path = Path(path)
        self.records = []
        if self.path.exists():
            self.records = [json.loads(line) for line in self.path.read_text().splitlines() if line.strip()]

    def has(self, *key):
        return any(_key(record) == _normal(key) for record in self.records if "operation" in record)

    def add(self, operation, params, system, version, repeat, numbers, *, load, seconds):
        self._append(
            {
                "operation": operation,
                "params": params,
                "system": system,
                "version": version,
                "repeat": repeat,
                "numbers": numbers,
                "load": load,
                "seconds": round(seconds, 1),
                "at": _now(),
            }
        )

    def add_machine(self, machine, systems):
        """The machine and the versions of the systems of this run."""
        self._append({"machine": machine, "systems": systems, "at": _now()})

    def _append(self, record):
        self.records.append(record)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps(record) + "\n")


def _key(record):
    return _normal([record[name] for name in ("operation", "params", "system", "version", "repeat")])


def _normal(key):
    return json.dumps(key, sort_keys=True)


def _now():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
