"""The folder of one experiment: its initial files and its record."""

from __future__ import annotations

import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import attrs
import pytest

from runbook import errors
from runbook.capture import environment
from runbook.record.layout import BaseLayout
from runbook.record.model import RECORD_VERSION, Attempt, ExperimentRecord, Owner
from runbook.record.status import Status
from runbook.serialize import json_text
from runbook.storage import base_directory, experiment_folder

MOMENT = datetime(2024, 12, 16, 14, 30, 52, tzinfo=UTC)


@pytest.fixture
def layout(base) -> BaseLayout:
    """A base directory that is prepared."""
    made = BaseLayout(base)
    base_directory.prepare(made)
    return made


def draft(**changes) -> ExperimentRecord:
    """A record that has no folder yet."""
    record = ExperimentRecord(
        experiment_id="",
        timestamp=MOMENT,
        status=Status.RUNNING,
        config={"lr": 0.1},
        config_hash="a1b2c3d4",
        custom_name="baseline",
        attempts=(Attempt(MOMENT, Owner("h", 1)),),
    )
    return attrs.evolve(record, **changes)


def create(layout, **changes):
    """A folder with its initial files, and its record."""
    record = experiment_folder.reserve(layout, draft(**changes))
    folder = layout.experiment(record.experiment_id)
    experiment_folder.write_initial_files(folder, record, environment.capture())
    return folder, record


# --- the base directory


def test_a_base_directory_is_made_with_its_parents_and_our_own_folder(base):
    """Anywhere, as often as one likes."""
    layout = BaseLayout(base / "deep" / "down")
    for _ in range(2):
        base_directory.prepare(layout)
    assert layout.pending.is_dir()
    assert layout.run_locks.is_dir()


@pytest.mark.parametrize("where", [".", "inner", "inner/deep"])
def test_a_base_directory_that_is_or_lies_below_a_file_is_refused(tmp_path, where):
    """With its path, what is in the way, and what to do."""
    (tmp_path / "file").write_bytes(b"content")
    layout = BaseLayout(tmp_path / "file" / where)
    with pytest.raises(errors.BaseDirectoryError, match="is, or lies below, a file") as caught:
        base_directory.prepare(layout)
    assert caught.value.path == str(layout.root)
    assert "base_dir=" in str(caught.value)
    assert (tmp_path / "file").read_bytes() == b"content"


def test_a_base_directory_that_is_a_dangling_link_is_refused_or_made(tmp_path):
    """Never half of it."""
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "none")
    try:
        base_directory.prepare(BaseLayout(link))
    except errors.BaseDirectoryError as error:
        assert str(link) in str(error)
    else:
        assert BaseLayout(link).pending.is_dir()


def test_a_file_in_the_way_of_our_own_folder_is_reported(base):
    """By an error with the base directory, not by a bare OSError."""
    base.mkdir()
    (base / ".runbook").touch()
    with pytest.raises(errors.BaseDirectoryError):
        base_directory.prepare(BaseLayout(base))


# --- the id


def test_the_folder_reserves_the_id(layout):
    """mkdir decides between experiments that start in the same second."""
    ids = [experiment_folder.reserve(layout, draft()).experiment_id for _ in range(5)]
    assert ids == [
        "20241216_143052_baseline_a1b2c3d4",
        *(f"20241216_143052_baseline-{n}_a1b2c3d4" for n in range(2, 6)),
    ]
    assert all((layout.root / experiment_id).is_dir() for experiment_id in ids)


@pytest.mark.parametrize("kind", ["file", "dangling link", "folder with content"])
def test_whatever_has_the_name_already_is_left_alone(layout, kind):
    """The next free id is taken."""
    taken = layout.root / "20241216_143052_baseline_a1b2c3d4"
    if kind == "file":
        taken.write_bytes(b"mine")
    elif kind == "dangling link":
        taken.symlink_to(layout.root / "none")
    else:
        taken.mkdir()
        (taken / "mine").write_bytes(b"mine")
    assert experiment_folder.reserve(layout, draft()).experiment_id == "20241216_143052_baseline-2_a1b2c3d4"
    assert os.path.lexists(taken)
    assert not (layout.root / "none").exists()


def test_the_rest_of_the_record_stays_as_it_is(layout):
    """Only the id is new."""
    record = experiment_folder.reserve(layout, draft())
    assert attrs.evolve(record, experiment_id="") == draft()


def test_a_base_directory_that_went_away_is_reported(base):
    """With the base directory in the message."""
    with pytest.raises(errors.BaseDirectoryError) as caught:
        experiment_folder.reserve(BaseLayout(base), draft())
    assert str(base) in str(caught.value)


# --- initial files


def test_the_initial_files_are_the_legacy_folders_the_config_and_the_record(layout):
    """And no temporary."""
    folder, record = create(layout)
    found = {str(path.relative_to(folder.root)) for path in folder.root.rglob("*")} - {"logs/uncommitted.patch"}
    assert found == {
        "experiment.json",
        "config.json",
        "checkpoints",
        "results",
        "metrics",
        "logs",
        "logs/environment.json",
    }
    assert experiment_folder.read_record(folder) == record
    assert json.loads(folder.config.read_text()) == {"lr": 0.1}


@pytest.mark.parametrize("text", ["", "a\nb", "\0", "\ud800", "a\udfff", "\u202e", "🙂", "../../x", "x" * 10_000])
def test_the_record_takes_any_text(layout, text):
    """Any string is accepted as a name, a description, a tag or a note, and comes back as it was."""
    given = {"custom_name": text, "description": text, "tags": (text,), "notes": text}
    folder, _ = create(layout, **given)
    record = experiment_folder.read_record(folder)
    assert {name: getattr(record, name) for name in given} == given
    json.loads(folder.record.read_bytes().decode())


def test_a_start_that_fails_removes_the_folder(layout):
    """No user has seen the experiment."""
    folder, _ = create(layout)
    for error in (KeyboardInterrupt, ValueError, SystemExit):
        record = experiment_folder.reserve(layout, draft())
        reserved = layout.experiment(record.experiment_id)
        with pytest.raises(error), experiment_folder.undone_on_error(layout, reserved):
            experiment_folder.write_initial_files(reserved, record, environment.capture())
            raise error
        assert not reserved.root.exists()
    assert experiment_folder.read_record(folder).status is Status.RUNNING


def test_an_error_of_the_disk_during_the_start_names_the_base_directory(layout):
    """The message has the path that the user knows."""
    record = experiment_folder.reserve(layout, draft())
    folder = layout.experiment(record.experiment_id)
    with (
        pytest.raises(errors.BaseDirectoryError, match="No space left") as caught,
        experiment_folder.undone_on_error(layout, folder),
    ):
        raise OSError(28, "No space left on device")
    assert isinstance(caught.value.__cause__, OSError)
    assert not folder.root.exists()


def test_a_taken_inner_folder_is_an_error(layout):
    """The folder was not ours then."""
    record = experiment_folder.reserve(layout, draft())
    folder = layout.experiment(record.experiment_id)
    folder.metrics.mkdir()
    with pytest.raises(FileExistsError):
        experiment_folder.write_initial_files(folder, record, environment.capture())


# --- the record


def test_a_record_is_replaced_whole(layout):
    """And read back."""
    folder, record = create(layout)
    changed = attrs.evolve(record, status=Status.COMPLETED, notes="done", metrics={"f1": "NaN"})
    experiment_folder.write_record(folder, changed)
    assert experiment_folder.read_record(folder) == changed


def test_a_folder_without_a_record_is_not_ours_or_just_being_made(layout):
    """The caller must find out which of the two."""
    record = experiment_folder.reserve(layout, draft())
    with pytest.raises(FileNotFoundError):
        experiment_folder.read_record(layout.experiment(record.experiment_id))


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\0" * 512, "not JSON"),
        (b"[]", "a list"),
        (b"{}", "experiment_id"),
        (b'{"experiment_id": "x", "status": "dancing"}', "status"),
    ],
)
def test_a_damaged_record_is_reported_with_its_path(layout, raw, words):
    """And what is wrong with it."""
    folder, _ = create(layout)
    folder.record.write_bytes(raw)
    with pytest.raises(errors.DamagedFileError, match=words) as caught:
        experiment_folder.read_record(folder)
    assert caught.value.path == str(folder.record)


def test_a_record_cut_at_any_byte_is_damaged_and_nothing_else(layout):
    """At every byte."""
    folder, record = create(layout)
    raw = folder.record.read_bytes().rstrip()
    for cut in range(len(raw)):
        folder.record.write_bytes(raw[:cut])
        with pytest.raises(errors.DamagedFileError):
            experiment_folder.read_record(folder)
    folder.record.write_bytes(raw)
    assert experiment_folder.read_record(folder) == record


def test_a_folder_that_was_renamed_is_what_its_name_says(layout):
    """A copy made by hand gets the id of its own folder."""
    folder, _ = create(layout)
    copy = layout.experiment("20300101_000000_copy_a1b2c3d4")
    shutil.copytree(folder.root, copy.root)
    assert experiment_folder.read_record(copy).experiment_id == copy.root.name
    assert experiment_folder.read_record(folder).experiment_id == folder.root.name


def newer(folder, **fields) -> Path:
    """A record as a newer runbook might have written it."""
    data = {**json.loads(folder.record.read_text()), "format_version": RECORD_VERSION + 1, **fields}
    folder.record.write_bytes(json_text.encode(data))
    return folder.record


def test_a_newer_record_is_read_as_far_as_it_is_understood(layout):
    """And never rewritten with loss."""
    folder, _ = create(layout)
    raw = newer(folder, mood="good").read_bytes()
    record = experiment_folder.read_record(folder)
    assert record.format_version == RECORD_VERSION + 1
    with pytest.raises(errors.NewerFormatError, match="upgrade runbook"):
        experiment_folder.write_record(folder, attrs.evolve(record, notes="x"))
    assert folder.record.read_bytes() == raw


@pytest.mark.parametrize("fields", [{"status": "paused"}, {"config": [1, 2]}, {"timestamp": {"utc": 1}}])
def test_a_newer_record_that_cannot_be_understood_asks_for_an_upgrade(layout, fields):
    """It is not damaged."""
    folder, _ = create(layout)
    newer(folder, **fields)
    with pytest.raises(errors.NewerFormatError) as caught:
        experiment_folder.read_record(folder)
    assert (caught.value.version, caught.value.supported) == (RECORD_VERSION + 1, RECORD_VERSION)


def test_a_file_that_is_no_object_is_damaged(layout):
    """The same for every JSON file of an experiment."""
    folder, _ = create(layout)
    folder.final_summary.write_text("[1]")
    with pytest.raises(errors.DamagedFileError, match="a list"):
        json_text.read_object(folder.final_summary)
    with pytest.raises(FileNotFoundError):
        json_text.read_object(folder.training_history)
