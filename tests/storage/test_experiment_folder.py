"""The folder of one experiment: its birth and its record."""

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


def born(layout, **changes):
    """A folder with everything that a birth puts into it, and its record."""
    record = experiment_folder.reserve(layout, draft(**changes))
    place = layout.experiment(record.experiment_id)
    experiment_folder.write_initial_files(place, record, environment.capture())
    return place, record


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


def test_our_own_folder_that_is_a_file_is_said(base):
    """Not by a traceback from the depths."""
    base.mkdir()
    (base / ".runbook").touch()
    with pytest.raises(errors.BaseDirectoryError):
        base_directory.prepare(BaseLayout(base))


# --- the id


def test_the_folder_reserves_the_id(layout):
    """The exclusive mkdir decides between those who come in the same second."""
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


def test_a_base_directory_that_went_away_is_said(base):
    """With the base directory in the message."""
    with pytest.raises(errors.BaseDirectoryError) as caught:
        experiment_folder.reserve(BaseLayout(base), draft())
    assert str(base) in str(caught.value)


# --- birth


def test_a_birth_leaves_the_seeds_folders_the_config_and_the_record(layout):
    """And no temporary."""
    place, record = born(layout)
    found = {str(path.relative_to(place.root)) for path in place.root.rglob("*")} - {"logs/uncommitted.patch"}
    assert found == {
        "experiment.json",
        "config.json",
        "checkpoints",
        "results",
        "metrics",
        "logs",
        "logs/environment.json",
    }
    assert experiment_folder.read_record(place) == record
    assert json.loads(place.config.read_text()) == {"lr": 0.1}


@pytest.mark.parametrize("text", ["", "a\nb", "\0", "\ud800", "a\udfff", "\u202e", "🙂", "../../x", "x" * 10_000])
def test_a_birth_takes_any_text(layout, text):
    """Any string is accepted as a name, a description, a tag or a note, and comes back as it was."""
    given = {"custom_name": text, "description": text, "tags": (text,), "notes": text}
    place, _ = born(layout, **given)
    record = experiment_folder.read_record(place)
    assert {name: getattr(record, name) for name in given} == given
    json.loads(place.record.read_bytes().decode())


def test_a_birth_that_fails_takes_the_folder_back(layout):
    """Nobody has been told of it."""
    place, _ = born(layout)
    for error in (KeyboardInterrupt, ValueError, SystemExit):
        record = experiment_folder.reserve(layout, draft())
        unborn = layout.experiment(record.experiment_id)
        with pytest.raises(error), experiment_folder.undone_on_error(layout, unborn):
            experiment_folder.write_initial_files(unborn, record, environment.capture())
            raise error
        assert not unborn.root.exists()
    assert experiment_folder.read_record(place).status is Status.RUNNING


def test_an_error_of_the_disk_during_birth_names_the_base_directory(layout):
    """A caller knows which of the paths is meant."""
    record = experiment_folder.reserve(layout, draft())
    place = layout.experiment(record.experiment_id)
    with (
        pytest.raises(errors.BaseDirectoryError, match="No space left") as caught,
        experiment_folder.undone_on_error(layout, place),
    ):
        raise OSError(28, "No space left on device")
    assert isinstance(caught.value.__cause__, OSError)
    assert not place.root.exists()


def test_a_taken_inner_folder_is_an_error(layout):
    """The folder was not ours then."""
    record = experiment_folder.reserve(layout, draft())
    place = layout.experiment(record.experiment_id)
    place.metrics.mkdir()
    with pytest.raises(FileExistsError):
        experiment_folder.write_initial_files(place, record, environment.capture())


# --- the record


def test_a_record_is_replaced_whole(layout):
    """And read back."""
    place, record = born(layout)
    changed = attrs.evolve(record, status=Status.COMPLETED, notes="done", metrics={"f1": "NaN"})
    experiment_folder.write_record(place, changed)
    assert experiment_folder.read_record(place) == changed


def test_a_folder_without_a_record_is_not_ours_or_just_being_made(layout):
    """That is for the caller to tell apart."""
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
    place, _ = born(layout)
    place.record.write_bytes(raw)
    with pytest.raises(errors.DamagedFileError, match=words) as caught:
        experiment_folder.read_record(place)
    assert caught.value.path == str(place.record)


def test_a_record_cut_at_any_byte_is_damaged_and_nothing_else(layout):
    """At every byte."""
    place, record = born(layout)
    raw = place.record.read_bytes().rstrip()
    for cut in range(len(raw)):
        place.record.write_bytes(raw[:cut])
        with pytest.raises(errors.DamagedFileError):
            experiment_folder.read_record(place)
    place.record.write_bytes(raw)
    assert experiment_folder.read_record(place) == record


def test_a_folder_that_was_renamed_is_what_its_name_says(layout):
    """Copies made by hand do not claim to be the original."""
    place, _ = born(layout)
    copy = layout.experiment("20300101_000000_copy_a1b2c3d4")
    shutil.copytree(place.root, copy.root)
    assert experiment_folder.read_record(copy).experiment_id == copy.root.name
    assert experiment_folder.read_record(place).experiment_id == place.root.name


def newer(place, **fields) -> Path:
    """A record as a newer runbook might have written it."""
    data = {**json.loads(place.record.read_text()), "format_version": RECORD_VERSION + 1, **fields}
    place.record.write_bytes(json_text.encode(data))
    return place.record


def test_a_newer_record_is_read_as_far_as_it_is_understood(layout):
    """And never rewritten with loss."""
    place, _ = born(layout)
    raw = newer(place, mood="good").read_bytes()
    record = experiment_folder.read_record(place)
    assert record.format_version == RECORD_VERSION + 1
    with pytest.raises(errors.NewerFormatError, match="upgrade runbook"):
        experiment_folder.write_record(place, attrs.evolve(record, notes="x"))
    assert place.record.read_bytes() == raw


@pytest.mark.parametrize("fields", [{"status": "paused"}, {"config": [1, 2]}, {"timestamp": {"utc": 1}}])
def test_a_newer_record_that_cannot_be_understood_asks_for_an_upgrade(layout, fields):
    """It is not damaged."""
    place, _ = born(layout)
    newer(place, **fields)
    with pytest.raises(errors.NewerFormatError) as caught:
        experiment_folder.read_record(place)
    assert (caught.value.version, caught.value.supported) == (RECORD_VERSION + 1, RECORD_VERSION)


def test_a_file_that_is_no_object_is_damaged(layout):
    """The same for every JSON file of an experiment."""
    place, _ = born(layout)
    place.final_summary.write_text("[1]")
    with pytest.raises(errors.DamagedFileError, match="a list"):
        json_text.read_object(place.final_summary)
    with pytest.raises(FileNotFoundError):
        json_text.read_object(place.training_history)
