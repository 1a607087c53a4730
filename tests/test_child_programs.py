"""The programs that tests start import the package that the tests import, and no other copy of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import runbook

CODE = "import runbook; print(runbook.__file__)"


@pytest.mark.parametrize("way", ["-c", "a file", "-m", "a worker"])
@pytest.mark.parametrize("place", ["an empty folder", "the root", "beside the tests"])
def test_a_program_imports_what_the_tests_import(way, place, tmp_path):
    """Wherever it runs; another copy would be what is tested otherwise, and nobody would notice."""
    folder = {"an empty folder": tmp_path, "the root": Path(tmp_path.anchor), "beside the tests": Path(__file__).parent}
    program = tmp_path / "program.py"
    if way == "a worker":
        program.write_text(
            "import multiprocessing\n"
            f"def work():\n    {CODE}\n"
            "if __name__ == '__main__':\n"
            "    worker = multiprocessing.get_context('spawn').Process(target=work)\n"
            "    worker.start()\n"
            "    worker.join()\n"
        )
    else:
        program.write_text(CODE)
    arguments = {"-c": ["-c", CODE], "-m": ["-m", "program"]}.get(way, [str(program)])
    environment = dict(os.environ)
    if way == "-m":
        environment["PYTHONPATH"] = os.pathsep.join([environment["PYTHONPATH"], str(tmp_path)])
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder[place], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()) == Path(runbook.__file__)


def test_another_copy_would_be_noticed(tmp_path):
    """The check above fails where something puts another copy first."""
    (tmp_path / "runbook").mkdir()
    (tmp_path / "runbook" / "__init__.py").touch()
    done = subprocess.run([sys.executable, "-c", CODE], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert Path(done.stdout.strip()) == tmp_path / "runbook" / "__init__.py"
