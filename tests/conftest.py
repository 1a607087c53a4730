"""Fixtures that more than one file uses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from runbook import ExperimentManager

# The machines that run these tests are shared, and an example may have to wait for them.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch):
    """Nobody's own settings decide what a test sees."""
    for name in ("RUNBOOK_DIR", "RUNBOOK_MODE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def base(tmp_path) -> Path:
    """A base directory that does not exist yet."""
    return tmp_path / "experiments"


@pytest.fixture
def manager(base) -> ExperimentManager:
    """A manager of `base`."""
    return ExperimentManager(base)


class Script:
    """A program of its own in an empty folder, whose experiments go to `base`."""

    def __init__(self, folder: Path, base: Path) -> None:
        self.folder = folder
        self.base = base

    def start(self, code: str, *args: str, **environment: str) -> subprocess.Popen[str]:
        """Start it; its output is to be read from the pipes."""
        path = self.folder / "program.py"
        fresh = path.with_suffix(".new")
        fresh.write_text(textwrap.dedent(code), encoding="utf-8")
        # Another process may be reading the same program at this moment.
        fresh.replace(path)
        return subprocess.Popen(
            [sys.executable, str(path), *args],
            cwd=self.folder,
            env={**os.environ, "RUNBOOK_DIR": str(self.base), **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, code: str, *args: str, timeout: float = 60, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        process = self.start(code, *args, **environment)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@pytest.fixture
def script(tmp_path, base) -> Script:
    """Runs programs against `base`."""
    folder = tmp_path / "program"
    folder.mkdir()
    return Script(folder, base)


@pytest.fixture
def registry_of():
    """Reads the registry file of a base directory, without runbook."""

    def read(base: Path) -> list[dict[str, object]]:
        return json.loads((base / "experiment_registry.json").read_text(encoding="utf-8"))["experiments"]

    return read
