"""What every engine of the index has to pass; a subclass says how to open one.

class TestMyEngine(IndexConformance):
    def open(self, layout):
        return MyEngine(layout)
"""

from __future__ import annotations

import shutil
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest

from runbook import errors
from runbook.capture import environment
from runbook.index import Index
from runbook.record.layout import BaseLayout
from runbook.record.model import Attempt, ExperimentRecord
from runbook.record.status import EndReason, Status
from runbook.storage import base_directory, experiment_folder, process

MOMENT = datetime(2024, 12, 16, 14, 30, 52, tzinfo=UTC)


def create(layout: BaseLayout, name: str = "a", age: int = 0, **changes) -> ExperimentRecord:
    """The folder of an experiment that no index has heard of."""
    moment = MOMENT + timedelta(seconds=age)
    draft = ExperimentRecord(
        experiment_id="",
        timestamp=moment,
        status=Status.RUNNING,
        config={"lr": 0.1},
        config_hash="a1b2c3d4",
        custom_name=name,
        attempts=(Attempt(moment, process.current_owner()),),
    )
    record = experiment_folder.reserve(layout, attrs.evolve(draft, **changes))
    experiment_folder.write_initial_files(layout.experiment(record.experiment_id), record, environment.capture())
    return record


def change(layout: BaseLayout, record: ExperimentRecord, **changes) -> ExperimentRecord:
    """Another record in the folder of an experiment; no index has heard of it."""
    record = attrs.evolve(record, **changes)
    experiment_folder.write_record(layout.experiment(record.experiment_id), record)
    return record


class IndexConformance:
    """The promises of `runbook.index.Index`."""

    def open(self, layout: BaseLayout) -> Index:
        """The engine that is tested, on a base directory."""
        raise NotImplementedError

    @pytest.fixture
    def layout(self, tmp_path) -> BaseLayout:
        """A base directory that is prepared."""
        made = BaseLayout(tmp_path / "experiments")
        base_directory.prepare(made)
        return made

    @pytest.fixture
    def index(self, layout) -> Index:
        """An index that has seen nothing yet."""
        return self.open(layout)

    def ids(self, layout) -> list[str]:
        """What somebody sees who opens the index anew."""
        return [str(entry["experiment_id"]) for entry in self.open(layout).entries()]

    def test_it_has_every_operation_of_the_protocol(self, index, layout):
        """A name that is missing would be found by a user otherwise."""
        operations = {name for name in vars(Index) if not name.startswith("_")}
        assert operations >= {"mark_pending", "apply", "entries", "summaries", "removing", "rebuild", "flush"}
        assert [name for name in sorted(operations) if not hasattr(index, name)] == []
        assert index.layout.root == layout.root

    def test_an_empty_base_directory_has_no_entries(self, index):
        """Nor is anything made by looking."""
        assert index.entries() == [] and index.summaries() == [] and index.folders() == set()

    def test_a_file_in_the_place_of_the_base_directory_is_refused(self, tmp_path):
        """With the word for it, by whatever asks."""
        (tmp_path / "file").write_text("")
        index = self.open(BaseLayout(tmp_path / "file"))
        for ask in (index.check, index.entries, index.summaries):
            with pytest.raises(errors.BaseDirectoryError):
                ask()

    def test_what_was_applied_is_seen_by_everybody(self, index, layout):
        """With the fields of its record, and under the directory where it lies."""
        record = create(layout, "one", tags=("t",))
        index.apply(record.experiment_id, record)
        (entry,) = self.open(layout).entries()
        assert (entry["experiment_id"], entry["custom_name"], entry["status"], entry["tags"]) == (
            record.experiment_id,
            "one",
            "running",
            ["t"],
        )
        assert Path(str(entry["directory"])) == layout.experiment(record.experiment_id).root

    def test_a_record_that_changed_is_applied_from_its_folder(self, index, layout):
        """The caller need not hand it over."""
        record = create(layout)
        index.apply(record.experiment_id, record)
        change(layout, record, status=Status.FAILED, end_reason=EndReason.EXCEPTION, completed_at=MOMENT)
        index.apply(record.experiment_id)
        assert [entry["status"] for entry in self.open(layout).entries()] == ["failed"]

    def test_a_writer_that_died_after_its_note_hides_nothing(self, index, layout):
        """Pending is noted first, so a reader sees a record that was written and never applied."""
        record = create(layout)
        index.apply(record.experiment_id, record)
        index.mark_pending(record.experiment_id)
        change(layout, record, status=Status.COMPLETED, end_reason=EndReason.MARKED, completed_at=MOMENT)
        assert [entry["status"] for entry in self.open(layout).entries()] == ["completed"]

    def test_a_folder_that_no_writer_applied_is_listed(self, layout):
        """The folder is the truth."""
        record = create(layout)
        assert self.ids(layout) == [record.experiment_id]
        assert self.open(layout).folders() == {record.experiment_id}

    def test_entries_come_oldest_first_and_only_those_that_are_wanted(self, index, layout):
        """Whatever the order in which they were applied."""
        records = [create(layout, name, age) for age, name in enumerate("abc")]
        for record in reversed(records):
            index.apply(record.experiment_id, record)
        assert self.ids(layout) == [record.experiment_id for record in records]
        wanted = self.open(layout).entries(lambda entry: entry["custom_name"] != "b")
        assert [entry["custom_name"] for entry in wanted] == ["a", "c"]

    def test_summaries_have_id_start_and_name_of_all(self, index, layout):
        """And leave out what takes room."""
        record = create(layout, "one")
        index.apply(record.experiment_id, record)
        (summary,) = self.open(layout).summaries()
        assert summary["experiment_id"] == record.experiment_id and summary["custom_name"] == "one"
        assert "timestamp" in summary and "config" not in summary and "metrics" not in summary

    def test_an_experiment_whose_folder_is_removed_is_gone(self, index, layout):
        """Its entry goes with the block."""
        kept, gone = create(layout, "kept"), create(layout, "gone", 1)
        for record in (kept, gone):
            index.apply(record.experiment_id, record)
        with index.removing(gone.experiment_id):
            shutil.rmtree(layout.experiment(gone.experiment_id).root)
        assert self.ids(layout) == [kept.experiment_id]

    def test_a_removal_that_fails_keeps_the_experiment(self, index, layout):
        """The folder stands, so it is listed."""
        record = create(layout)
        index.apply(record.experiment_id, record)
        with pytest.raises(ZeroDivisionError), index.removing(record.experiment_id):
            raise ZeroDivisionError
        assert self.ids(layout) == [record.experiment_id]

    def test_an_entry_from_elsewhere_is_kept_with_all_its_fields(self, index, layout):
        """It is all there is of an experiment of the legacy tool, which wrote no record."""
        one = "20240101_000000_old_0badcafe"
        layout.experiment(one).root.mkdir()
        index.insert(
            {"experiment_id": one, "status": "completed", "custom_name": "old", "extra": [1], "directory": "x"}
        )
        index.insert({"experiment_id": one, "notes": "n"})
        (entry,) = self.open(layout).entries()
        assert (entry["status"], entry["custom_name"], entry["extra"], entry["notes"]) == ("completed", "old", [1], "n")
        assert Path(str(entry["directory"])) == layout.experiment(one).root

    def test_the_entry_of_an_experiment_without_a_record_is_changed_in_turn(self, index, layout):
        """The change gets what is there, and may leave it."""
        one = "20240101_000000_old_0badcafe"
        layout.experiment(one).root.mkdir()
        index.insert({"experiment_id": one, "status": "completed", "notes": "a"})
        index.update_entry(one, lambda entry: {"notes": f"{entry['notes']}b"})
        index.update_entry(one, lambda _: None)
        assert [entry["notes"] for entry in self.open(layout).entries()] == ["ab"]
        seen = []
        index.update_entry("20240101_000000_none_0badcafe", seen.append)
        assert seen == [None]

    def test_a_record_is_changed_in_turn(self, index, layout):
        """Of ten that add one each, none is lost."""
        record = create(layout, tags=())

        def add(number):
            def with_tag(now):
                return attrs.evolve(now, tags=(*now.tags, str(number)))

            self.open(layout).update_record(record.experiment_id, with_tag)

        threads = [threading.Thread(target=add, args=(number,)) for number in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        tags = experiment_folder.read_record(layout.experiment(record.experiment_id)).tags
        assert sorted(tags) == sorted(map(str, range(10)))

    def test_a_change_of_a_record_that_raises_changes_nothing(self, index, layout):
        """What it raises comes out."""
        record = create(layout)

        def refuse(_):
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            index.update_record(record.experiment_id, refuse)
        assert experiment_folder.read_record(layout.experiment(record.experiment_id)) == record

    def test_a_rebuild_brings_every_entry_up_to_date(self, index, layout):
        """Also those that nobody noted as pending."""
        stale, unlisted = create(layout, "stale"), create(layout, "unlisted", 1)
        index.apply(stale.experiment_id, stale)
        change(layout, stale, status=Status.COMPLETED, end_reason=EndReason.MARKED, completed_at=MOMENT)
        index.rebuild()
        entries = {entry["experiment_id"]: entry["status"] for entry in self.open(layout).entries()}
        assert entries == {stale.experiment_id: "completed", unlisted.experiment_id: "running"}

    def test_a_flush_raises_nothing_and_loses_nothing(self, index, layout):
        """It is called at the end of a program, also where the base directory has gone."""
        record = create(layout)
        index.mark_pending(record.experiment_id)
        index.flush()
        assert self.ids(layout) == [record.experiment_id]
        shutil.rmtree(layout.root)
        index.flush()

    def test_an_inspection_says_what_is_stored(self, index, layout):
        """Without a look at the folders."""
        assert index.inspect().entries == []
        record = create(layout)
        index.apply(record.experiment_id, record)
        index.mark_pending(record.experiment_id)
        found = index.inspect()
        assert found.damage is None and not found.has_duplicates
        assert record.experiment_id in found.pending or [record.experiment_id] == [
            entry["experiment_id"] for entry in found.entries
        ]
