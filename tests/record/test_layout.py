"""The paths of files and folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from runbook.record.layout import REGISTRY_FILE, BaseLayout, ExperimentLayout

ID = "20241216_143052_baseline_a1b2c3d4"

# The names that other programs rely on: the legacy tool's, and those that the design promises.
IN_AN_EXPERIMENT = {
    "record": "experiment.json",
    "config": "config.json",
    "checkpoints": "checkpoints",
    "results": "results",
    "metrics": "metrics",
    "logs": "logs",
    "history": "metrics/history.jsonl",
    "training_history": "metrics/training_history.json",
    "final_summary": "metrics/final_summary.json",
    "eraser_results": "results/eraser_formatted_results.jsonl",
    "traceback": "logs/traceback.txt",
    "environment": "logs/environment.json",
    "patch": "logs/uncommitted.patch",
    "signals": "logs/signals.jsonl",
    "annotations": "logs/annotations.jsonl",
    "progress": "logs/progress.json",
}


def paths_of(layout) -> dict[str, Path]:
    """Every property of a layout that is a path."""
    names = [name for name in dir(type(layout)) if not name.startswith("_") and name != "root"]
    return {name: getattr(layout, name) for name in names if isinstance(getattr(layout, name), Path)}


@pytest.mark.parametrize(("name", "where"), IN_AN_EXPERIMENT.items())
def test_a_file_of_an_experiment_is_where_the_guide_says(name, where):
    """Other people and programs rely on the names on disk."""
    root = Path("base", ID)
    assert getattr(ExperimentLayout(root), name) == root / where


def test_the_list_of_names_is_whole():
    """A new name on disk is written down here, too."""
    assert set(paths_of(ExperimentLayout(Path("x")))) == set(IN_AN_EXPERIMENT)


def test_metrics_under_a_name_are_a_json_file_of_that_name():
    """`save_metrics("val", …)` writes `metrics/val.json`; the legacy names are no exception."""
    layout = ExperimentLayout(Path("x"))
    assert layout.metrics_file("val") == Path("x/metrics/val.json")
    assert layout.metrics_file("final_summary") == layout.final_summary
    assert layout.metrics_file("training_history") == layout.training_history
    assert layout.metrics_file("xai_metrics") == Path("x/metrics/xai_metrics.json")


def test_the_folders_from_birth_are_the_seeds_four():
    """checkpoints, results, metrics and logs are there before anything is saved."""
    layout = ExperimentLayout(Path("x"))
    assert [folder.name for folder in layout.folders] == ["checkpoints", "results", "metrics", "logs"]
    assert {folder.parent for folder in layout.folders} == {layout.root}


def test_the_registry_has_the_seeds_name():
    """The legacy tool finds it."""
    assert BaseLayout(Path("base")).registry == Path("base/experiment_registry.json")
    assert REGISTRY_FILE == "experiment_registry.json"


def test_everything_of_ours_but_registry_and_experiments_is_in_one_folder():
    """One folder can be ignored, or deleted while nothing runs."""
    layout = BaseLayout(Path("base"))
    ours = [layout.registry_lock, layout.pending, layout.run_locks, layout.mark(ID), layout.run_lock(ID)]
    assert layout.private == Path("base/.runbook")
    assert all(layout.private in path.parents for path in ours)


def test_locks_of_life_lie_outside_of_the_experiments_folders():
    """A copy of a folder never touches a lock."""
    layout = BaseLayout(Path("base"))
    assert layout.experiment(ID).root not in layout.run_lock(ID).parents


def test_no_two_names_are_the_same():
    """No two paths of a layout are the same."""
    layout = BaseLayout(Path("base"))
    paths = [*paths_of(layout).values(), layout.mark(ID), layout.run_lock(ID)]
    paths += [*paths_of(layout.experiment(ID)).values()]
    assert len(set(paths)) == len(paths)


def test_two_registries_in_one_directory_share_neither_lock_nor_marks():
    """`registry_file` names another index, with a lock and marks of its own."""
    one, two = BaseLayout(Path("base")), BaseLayout(Path("base"), "other.json")
    assert one.registry != two.registry
    assert one.registry_lock != two.registry_lock
    assert one.pending != two.pending


@pytest.mark.parametrize("name", ["sub/registry.json", "../registry.json", "/elsewhere/registry.json"])
def test_the_lock_of_a_registry_elsewhere_is_still_in_our_folder(name):
    """The lock and the marks of a registry that is named by a path stay in our own folder."""
    layout = BaseLayout(Path("base"), name)
    assert layout.registry_lock.parent == layout.private
    assert layout.pending.parent == layout.private


@pytest.mark.parametrize("layout", [BaseLayout(Path("base")), ExperimentLayout(Path("base"))])
def test_a_layout_cannot_be_changed(layout):
    """The paths of a layout cannot be changed."""
    with pytest.raises(AttributeError):
        layout.root = Path("other")


def test_every_name_says_what_it_is_for():
    """The docstrings of the two classes are the description of the disk."""
    properties = [
        value for cls in (BaseLayout, ExperimentLayout) for value in vars(cls).values() if isinstance(value, property)
    ]
    assert properties
    assert all((value.__doc__ or "").strip().endswith(".") for value in properties)
