"""The lines that the guide gives for `.gitignore` keep what they say that they keep."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import runbook

PAGE = Path(runbook.__file__).parent / "guide" / "legacy.md"
pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def test_configs_and_metrics_are_kept_and_the_rest_is_left_out(tmp_path):
    """Git itself decides which files the section ignores."""
    (section,) = re.findall(r"^```gitignore\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / ".gitignore").write_text(section)
    with runbook.experiment({"lr": 1}, base_dir=tmp_path / "experiments") as exp:
        exp.save_predictions([1])
        exp.save_metrics("more", {"a": 1})
        (exp.checkpoints_dir / "model.bin").write_bytes(b"x")
    paths = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()]
    asked = subprocess.run(
        ["git", "-C", tmp_path, "check-ignore", "--stdin"], input="\n".join(paths), capture_output=True, text=True
    )
    ignored = {Path(path).name for path in asked.stdout.splitlines() if not path.startswith(".git/")}
    assert ignored == {"model.bin", "test_predictions.pkl", "experiment_registry.json", "experiment_registry.json.lock"}
    assert f"experiments/{exp.id}/config.json" in paths
