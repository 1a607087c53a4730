"""The public types are what `typing/api.py` claims, in the eyes of mypy and of pyright."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import runbook

needs_mypy = pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed")
needs_pyright = pytest.mark.skipif(
    importlib.util.find_spec("basedpyright") is None, reason="basedpyright is not installed"
)
CLAIMS = Path(__file__).parent / "typing" / "api.py"
PACKAGE = Path(runbook.__file__).parent


def mypy(tmp_path, *files):
    """Run mypy in its strictest mode on files, as a user's project would."""
    environment = {name: value for name, value in os.environ.items() if name != "MYPYPATH"}
    if Path(sysconfig.get_path("purelib")) not in PACKAGE.parents:
        # A checkout on PYTHONPATH, which mypy does not look at.
        environment["MYPYPATH"] = str(PACKAGE.parent)
    return subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--config-file=", "--no-error-summary"]
        + ["--cache-dir", str(tmp_path / "cache"), *map(str, files)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=110,
    )


@pytest.mark.slow
@needs_mypy
def test_the_public_types_are_as_claimed(tmp_path):
    """Every `assert_type` holds, and every line that must be an error is one."""
    done = mypy(tmp_path, CLAIMS)
    assert (done.stdout, done.returncode) == ("", 0), done.stdout + done.stderr


@pytest.mark.slow
@needs_pyright
def test_the_public_types_are_as_claimed_to_pyright(tmp_path):
    """What editors show is what pyright finds; in its strict mode a public type that it cannot tell is an error."""
    (tmp_path / "pyrightconfig.json").write_text(
        json.dumps(
            {
                "include": [str(CLAIMS)],
                "extraPaths": [str(PACKAGE.parent)],
                "pythonVersion": "3.11",
                "typeCheckingMode": "strict",
                "enableTypeIgnoreComments": True,
                "reportUnnecessaryTypeIgnoreComment": "error",
            }
        )
    )
    command = [sys.executable, "-m", "basedpyright", "-p", str(tmp_path), "--pythonpath", sys.executable]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=110)
    assert done.stdout.strip() == "0 errors, 0 warnings, 0 notes", done.stdout + done.stderr
    assert done.returncode == 0


def test_the_package_says_that_it_is_typed():
    """Without the marker a type checker ignores the annotations."""
    assert (PACKAGE / "py.typed").is_file()


def test_every_public_name_is_claimed():
    """Whoever adds a name to the door adds it to the claims, unless it is one more error."""
    claims = CLAIMS.read_text(encoding="utf-8")
    missing = [name for name in runbook.__all__ if not name.endswith("Error") and name not in claims]
    assert missing == []
