"""Files in older versions: reading applies each step in order, and leaves the file as it is."""

from __future__ import annotations

import json

import pytest

from runbook import errors
from runbook.record import layout, model, schema, upgrades
from runbook.record.model import ENVIRONMENT_VERSION, RECORD_VERSION
from runbook.storage import experiment_folder
from runbook.transfer.bundle import MANIFEST_VERSION

FORMER = {
    "format_version": 1,
    "experiment_id": "20241216_143052_baseline_a1b2c3d4",
    "timestamp": "2024-12-16T14:30:52.000000+00:00",
    "outcome": "completed",
    "config": {"lr": 0.1},
    "config_hash": "a1b2c3d4",
    "mood": "good",
}


def rename_outcome(data):
    """A step such as a version may bring: a field gets another name."""
    return {("status" if key == "outcome" else key): value for key, value in data.items()}


def add_tags(data):
    """The step after it, which needs what that one made."""
    return {**data, "tags": [data["status"]]}


STEPS = (rename_outcome, add_tags)


@pytest.fixture
def version_3(monkeypatch):
    """A runbook whose records are in version 3."""
    monkeypatch.setattr(upgrades, "RECORD_STEPS", STEPS)
    monkeypatch.setattr(experiment_folder, "RECORD_VERSION", 3)


def test_each_version_has_its_step():
    """A new version without a step could not read older files."""
    assert len(upgrades.RECORD_STEPS) == RECORD_VERSION - 1
    assert len(upgrades.ENVIRONMENT_STEPS) == ENVIRONMENT_VERSION - 1
    assert len(upgrades.MANIFEST_STEPS) == MANIFEST_VERSION - 1


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"format_version": 1, "outcome": "x"}, {"format_version": 3, "status": "x", "tags": ["x"]}),
        ({"format_version": 2, "status": "x"}, {"format_version": 3, "status": "x", "tags": ["x"]}),
        ({"format_version": 3, "status": "x"}, {"format_version": 3, "status": "x"}),
        ({"format_version": 4, "outcome": "x"}, {"format_version": 4, "outcome": "x"}),
        ({"outcome": "x"}, {"format_version": 3, "status": "x", "tags": ["x"]}),
        ({"format_version": 0, "outcome": "x"}, {"format_version": 3, "status": "x", "tags": ["x"]}),
        ({"format_version": -7, "outcome": "x"}, {"format_version": 3, "status": "x", "tags": ["x"]}),
        ({"format_version": "2", "status": "x"}, {"format_version": "2", "status": "x"}),
        ({"format_version": None, "status": "x"}, {"format_version": None, "status": "x"}),
    ],
    ids=str,
)
def test_older_data_takes_all_steps_from_its_version_on(data, expected):
    """In their order; the present version, a newer one and what is no version stay as they are."""
    before = json.dumps(data)
    assert upgrades.upgrade(data, STEPS) == expected
    assert json.dumps(data) == before


@pytest.fixture
def folder(tmp_path):
    """A folder with a record in version 1."""
    found = layout.ExperimentLayout(tmp_path / FORMER["experiment_id"])
    found.root.mkdir()
    found.record.write_text(json.dumps(FORMER))
    return found


def test_an_older_record_is_read_in_the_present_version_and_left_as_it_is(version_3, folder):
    """Looking changes nothing."""
    before = folder.record.read_bytes()
    record = experiment_folder.read_record(folder)
    assert (record.format_version, record.status, record.tags) == (3, "completed", ("completed",))
    assert folder.record.read_bytes() == before


def test_an_older_record_is_rewritten_in_the_present_version(version_3, folder):
    """With the fields that nobody knows, and without those that a step has replaced."""
    experiment_folder.write_record(folder, experiment_folder.read_record(folder))
    written = json.loads(folder.record.read_text())
    assert (written["format_version"], written["status"], written["mood"]) == (3, "completed", "good")
    assert "outcome" not in written


def test_without_the_step_the_same_record_is_damaged(folder):
    """It is the step that makes it readable."""
    with pytest.raises(errors.DamagedFileError, match="status"):
        experiment_folder.read_record(folder)


def test_a_record_inside_of_other_data_takes_its_steps_too(version_3):
    """The record in the manifest of a bundle has a version of its own."""
    from runbook.transfer.bundle import Manifest

    data = {"format_version": 1, "experiment_id": FORMER["experiment_id"], "record": FORMER, "files": []}
    manifest = schema.from_json(data, Manifest, "x")
    assert (manifest.format_version, manifest.record.format_version, manifest.record.status) == (1, 3, "completed")


def test_the_versions_stand_where_the_formats_stand():
    """Each format has a version of its own."""
    assert not hasattr(model, "FORMAT_VERSION")
