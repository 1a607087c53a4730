"""The README does what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import runbook

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
pytestmark = pytest.mark.skipif(not README.exists(), reason="the README is not beside the tests")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_every_python_block_runs_in_the_order_of_the_page(tmp_path):
    """A reader can type what the page shows, from the top to the bottom."""
    pytest.importorskip("sklearn")
    pytest.importorskip("pandas")
    pytest.importorskip("matplotlib")
    program = tmp_path / "readme.py"
    program.write_text("\n".join(block.replace('__name__ == "__main__"', "True") for block in blocks("python")))
    done = subprocess.run([sys.executable, program], cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert "4 experiments in ./experiments: 4 completed" in done.stdout
    assert "did you mean baseline_model" in done.stdout
    assert {path.name for path in tmp_path.iterdir()} >= {"experiments", "shared_experiments"}


def test_the_first_block_is_the_quickstart():
    """The page shows the program that the example folder has."""
    assert blocks("python")[0] == (ROOT / "examples" / "quickstart.py").read_text(encoding="utf-8")


def test_the_gitignore_section_keeps_configs_and_metrics_and_leaves_out_the_rest(tmp_path):
    """The seed's section works as written, by git's own word."""
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / ".gitignore").write_text(blocks("gitignore")[0])
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


def words_of_the_page() -> set[str]:
    return set(re.findall(r"\w+", README.read_text(encoding="utf-8")))


def test_every_public_name_is_on_the_page():
    """What can be imported is documented, the errors as well."""
    assert set(runbook.__all__) - words_of_the_page() == set()


def test_every_method_of_the_manager_is_on_the_page():
    """As are those of what it gives, but for the ones that our own modules call."""
    ours = {"is_ended", "add_final_metrics", "note_signal", "go_on_logging", "forget_parent", "layout", "record"}
    for owner in (runbook.ExperimentManager, runbook.Experiment, runbook.ExperimentView, runbook.ExperimentList):
        names = {name for name in vars(owner) if not name.startswith("_")}
        assert names - ours - words_of_the_page() == set(), owner


def test_every_command_and_every_extra_is_on_the_page():
    """What is not there is not found by anybody."""
    import tomllib

    import click

    from runbook.cli import main

    text = README.read_text(encoding="utf-8")
    assert [name for name in main.list_commands(click.Context(main)) if f"`{name}" not in text] == []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert [name for name in project["optional-dependencies"] if f"`runbook[{name}]`" not in text] == []


def test_every_link_within_the_page_leads_somewhere():
    """A heading that was renamed takes its links along; a file that is named is there."""
    text = README.read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in anchors
        elif not target.startswith("http"):
            assert (ROOT / target).exists()
