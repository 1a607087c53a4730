"""The index: current to the moment, shared by all, mended from the folders, and never the only place of anything."""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from datetime import timedelta
from pathlib import Path

import attrs
import filelock
import pytest
from index_conformance import MOMENT, change, create

from runbook import ExperimentManager, errors, messages
from runbook.index import registry_format
from runbook.index.registry import JsonRegistry
from runbook.index.registry_file import IndexFile
from runbook.record.layout import BaseLayout
from runbook.record.model import ExperimentRecord
from runbook.record.status import EndReason, Status
from runbook.storage import base_directory, experiment_folder


@pytest.fixture(autouse=True)
def _no_warnings_yet(monkeypatch):
    """What is said once in a process can be said in each test."""
    monkeypatch.setattr(messages, "_logged", set())


@pytest.fixture
def layout(base) -> BaseLayout:
    """A base directory that is prepared."""
    made = BaseLayout(base)
    base_directory.prepare(made)
    return made


@pytest.fixture
def registry(layout, base) -> JsonRegistry:
    """The index of `base`."""
    return JsonRegistry(layout, str(base))


def ended(layout, record) -> ExperimentRecord:
    """The same with its end in its folder, that the index has not heard of."""
    return change(layout, record, status=Status.COMPLETED, end_reason=EndReason.MARKED, completed_at=MOMENT)


def published(layout, registry, name="a", age=0) -> ExperimentRecord:
    """An experiment that has ended and is in the index."""
    record = ended(layout, create(layout, name, age))
    registry.apply(record.experiment_id)
    return record


def statuses(registry) -> dict[str, object]:
    """What is listed."""
    listed = registry.entries()
    found = {entry["experiment_id"]: entry.get("status") for entry in listed}
    assert len(found) == len(listed)
    return found


def old_entry(experiment_id, **fields) -> dict[str, object]:
    """A line of the old tool."""
    seed = {"timestamp": "2024-12-16T14:30:52", "status": "completed", "custom_name": None, "description": None}
    return {"experiment_id": experiment_id, **seed, "config": {"lr": 1}, "directory": "x", **fields}


def write_old(layout, *entries, **others) -> None:
    """A registry of the old tool."""
    layout.registry.write_text(json.dumps({**others, "experiments": list(entries)}, indent=2))


def asides(layout) -> list[Path]:
    """The damaged registries that were moved out of the way."""
    return sorted(layout.root.glob("experiment_registry.json.damaged-*"))


def marks(layout) -> list[str]:
    """What is waiting to be folded."""
    return sorted(os.listdir(layout.pending))


def strays(layout) -> list[str]:
    """Temporaries beside the registry."""
    return [name for name in os.listdir(layout.root) if name.endswith(".tmp")]


def said(caplog) -> str:
    """Everything that the user was told."""
    return "\n".join(record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING)


# --- from announcement to line


def test_an_empty_base_directory_has_no_experiments(registry, base, layout):
    """Nor one that does not exist yet; looking makes nothing."""
    assert registry.entries() == []
    shutil.rmtree(base)
    assert registry.entries() == []
    assert not base.exists()


def test_what_is_published_is_a_line_of_the_file(registry, layout, registry_of, base):
    """For everybody who reads it, with or without runbook."""
    record = create(layout)
    registry.mark_pending(record.experiment_id)
    registry.apply(record.experiment_id)
    (line,) = registry_of(base)
    assert line["experiment_id"] == record.experiment_id
    assert line["status"] == "running"
    assert line["directory"] == str(base / record.experiment_id)
    assert marks(layout) == []
    assert strays(layout) == []


def test_an_update_replaces_the_line(registry, layout, registry_of, base):
    """One experiment, one line, in its place."""
    records = [published(layout, registry, name, age) for age, name in enumerate("abc")]
    change(layout, records[1], notes="new")
    registry.apply(records[1].experiment_id)
    assert [line["notes"] for line in registry_of(base)] == [None, "new", None]
    assert len(layout.registry.read_bytes().splitlines()) == 5


def test_a_publication_folds_what_others_left(registry, layout, registry_of, base):
    """The marks of killed writers are everybody's work."""
    killed = [create(layout, name) for name in "abc"]
    for record in killed:
        registry.mark_pending(record.experiment_id)
    # One was killed in the middle of folding.
    layout.mark(killed[0].experiment_id).rename(layout.pending / f"{killed[0].experiment_id}.taken")
    last = create(layout, "d")
    registry.apply(last.experiment_id)
    assert {line["experiment_id"] for line in registry_of(base)} == {r.experiment_id for r in [*killed, last]}
    assert marks(layout) == []


def test_a_mark_of_something_that_was_never_born_is_forgotten(registry, layout):
    """A writer that was killed before its folder had a record."""
    unborn = experiment_folder.reserve(layout, attrs.evolve(create(layout, "a"), custom_name="never"))
    for name in (unborn.experiment_id, "20241216_143052_gone_a1b2c3d4", "not an id", "..", ".taken", "x.taken"):
        if name != "..":
            (layout.pending / name).touch()
    assert len(statuses(registry)) == 1
    published(layout, registry, "b")
    assert len(statuses(registry)) == 2
    assert unborn.experiment_id not in statuses(registry)


def test_a_rewrite_that_fails_leaves_a_pending_entry(registry, layout, monkeypatch):
    """The entry of an experiment that has ended would stay out of date otherwise: nobody looks at its record again."""
    record = published(layout, registry)

    def refuse(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    changed = change(layout, record, notes="new")
    with monkeypatch.context() as full, pytest.raises(OSError, match="No space left"):
        full.setattr(IndexFile, "write", refuse)
        registry.apply(record.experiment_id, changed)
    assert marks(layout) == [record.experiment_id]
    (entry,) = registry.entries()
    assert entry["notes"] == "new"
    assert marks(layout) == []


def test_whoever_finds_its_mark_gone_is_done(registry, layout, registry_of, base):
    """Another one folded it meanwhile: no second rewrite."""
    record = create(layout)
    with filelock.FileLock(layout.registry_lock):
        publishing = threading.Thread(target=registry.apply, args=(record.experiment_id,))
        publishing.start()
        while record.experiment_id not in marks(layout):
            pass
        # The holder of the lock does the work of the waiting one.
        layout.registry.write_bytes(registry_format.encode([old_entry("somebody elses line")]))
        layout.mark(record.experiment_id).unlink()
        before = layout.registry.stat().st_ino
    publishing.join()
    assert layout.registry.stat().st_ino == before


def test_waiting_writers_are_folded_in_one_rewrite(registry, layout, base):
    """That is what makes many writers at once cheap."""
    records = [create(layout, f"n{n}") for n in range(6)]
    inodes = set()
    with filelock.FileLock(layout.registry_lock):
        threads = [threading.Thread(target=registry.apply, args=(record.experiment_id,)) for record in records]
        for thread in threads:
            thread.start()
        while len(marks(layout)) < len(records):
            pass
    for thread in threads:
        thread.join()
        inodes.add(layout.registry.stat().st_ino)
    assert set(statuses(registry)) == {record.experiment_id for record in records}
    assert marks(layout) == []


# --- listing is current


def test_a_marked_experiment_is_listed_as_its_record_says(registry, layout):
    """Between the record and the line its writer may have been killed."""
    record = published(layout, registry)
    registry.mark_pending(record.experiment_id)
    change(layout, record, status=Status.FAILED)
    assert statuses(registry) == {record.experiment_id: "failed"}
    assert marks(layout) == []


def test_a_running_experiment_is_listed_as_its_record_says(registry, layout, registry_of, base):
    """Even without a mark: only running ones change by themselves. The line is brought up to date as well."""
    record = create(layout)
    registry.apply(record.experiment_id)
    ended(layout, record)
    assert statuses(registry) == {record.experiment_id: "completed"}
    assert registry_of(base)[0]["status"] == "completed"


def test_a_folder_without_a_line_is_adopted(registry, layout, registry_of, base):
    """Copied from elsewhere, or its writer was killed before the index."""
    record = ended(layout, create(layout))
    assert statuses(registry) == {record.experiment_id: "completed"}
    assert len(registry_of(base)) == 1


def test_a_folder_of_the_old_tool_without_a_line_is_adopted_with_its_config(registry, layout):
    """What became of it nobody knows."""
    place = layout.root / "20200101_000000_old_a1b2c3d4"
    place.mkdir()
    (place / "config.json").write_text('{"lr": 3}')
    (entry,) = registry.entries()
    assert (entry["status"], entry["config"]) == ("unknown", {"lr": 3})
    assert entry["timestamp"] == "2020-01-01T00:00:00.000000+00:00"


@pytest.mark.parametrize("content", ["", "{", "[]", "3", '{"a": NaN'])
def test_a_folder_of_the_old_tool_with_a_broken_config_is_listed_without_it(registry, layout, content):
    """It hides nothing and nobody."""
    other = published(layout, registry)
    place = layout.root / "20200101_000000_old_a1b2c3d4"
    place.mkdir()
    (place / "config.json").write_text(content)
    assert statuses(registry) == {place.name: "unknown", other.experiment_id: "completed"}


@pytest.mark.parametrize("what", ["an empty folder", "a file", "a foreign folder", "a dangling link"])
def test_what_is_no_experiment_is_not_listed(registry, layout, what):
    """A reserved folder that is just being made, or something of somebody else."""
    name = "20200101_000000_a1b2c3d4"
    if what == "an empty folder":
        (layout.root / name).mkdir()
    elif what == "a file":
        (layout.root / name).touch()
    elif what == "a dangling link":
        (layout.root / name).symlink_to(layout.root / "none")
    else:
        (layout.root / "my notes").mkdir()
        (layout.root / "my notes" / "config.json").write_text("{}")
    assert registry.entries() == []


def test_an_experiment_that_was_adopted_is_in_its_place_by_age(registry, layout):
    """The list goes from the oldest to the newest, whoever came into the index first."""
    newest = published(layout, registry, "new", age=100)
    oldest = ended(layout, create(layout, "old", age=0))
    assert list(statuses(registry)) == [oldest.experiment_id, newest.experiment_id]
    middle = published(layout, registry, "middle", age=50)
    assert list(statuses(registry)) == [r.experiment_id for r in (oldest, middle, newest)]


def test_a_line_whose_folder_is_gone_stays_in_the_file_and_comes_back_with_the_folder(
    registry, layout, registry_of, base
):
    """It may be on another disk; one of the old tool is listed all the same, because its line is all there is of it."""
    write_old(layout, old_entry("old"))
    record = published(layout, registry)
    place = layout.experiment(record.experiment_id).root
    place.rename(base.parent / "elsewhere")
    assert statuses(registry) == {"old": "completed"}
    other = published(layout, registry, "b")
    assert [line["experiment_id"] for line in registry_of(base)] == ["old", record.experiment_id, other.experiment_id]
    (base.parent / "elsewhere").rename(place)
    assert set(statuses(registry)) == {"old", record.experiment_id, other.experiment_id}


def test_the_directory_is_where_the_experiment_is_now(registry, layout, base, tmp_path):
    """A base directory can be moved."""
    record = published(layout, registry)
    moved = tmp_path / "moved"
    base.rename(moved)
    (entry,) = JsonRegistry(BaseLayout(moved), str(moved)).entries()
    assert entry["directory"] == str(moved / record.experiment_id)


def test_a_list_that_finds_nothing_new_writes_nothing(registry, layout):
    """Looking is free."""
    published(layout, registry)
    running = create(layout, "b")
    registry.apply(running.experiment_id)
    before = layout.registry.stat()
    for _ in range(3):
        assert len(registry.entries()) == 2
    assert layout.registry.stat().st_ino == before.st_ino


def test_a_broken_record_is_said_and_hides_no_other(registry, layout, caplog):
    """Its status is unknown; nothing is invented."""
    good, broken = published(layout, registry, "good"), published(layout, registry, "broken")
    place = layout.experiment(broken.experiment_id)
    place.record.write_bytes(place.record.read_bytes()[:50])
    registry.mark_pending(broken.experiment_id)
    assert statuses(registry) == {good.experiment_id: "completed", broken.experiment_id: "unknown"}
    assert broken.experiment_id in said(caplog)
    assert "restore it" in said(caplog)
    (entry,) = [entry for entry in registry.entries() if entry["experiment_id"] == broken.experiment_id]
    assert entry["config"] == {"lr": 0.1}


def test_a_broken_record_that_is_restored_is_listed_as_before(registry, layout):
    """The hint of the message works."""
    record = published(layout, registry)
    place = layout.experiment(record.experiment_id)
    raw = place.record.read_bytes()
    place.record.write_bytes(b"")
    registry.mark_pending(record.experiment_id)
    assert statuses(registry) == {record.experiment_id: "unknown"}
    place.record.write_bytes(raw)
    assert statuses(registry) == {record.experiment_id: "completed"}


def test_a_newer_record_is_listed_as_far_as_it_is_understood(registry, layout):
    """Another member of the team has upgraded already."""
    record = published(layout, registry)
    place = layout.experiment(record.experiment_id)
    data = {**json.loads(place.record.read_text()), "format_version": 99, "mood": "good", "notes": "newer"}
    place.record.write_text(json.dumps(data))
    registry.mark_pending(record.experiment_id)
    (entry,) = registry.entries()
    assert (entry["status"], entry["notes"]) == ("completed", "newer")


# --- other registries


def test_a_registry_of_the_old_tool_is_read_as_it_is_and_kept(registry, layout):
    """With whatever else it holds, and in its order."""
    write_old(layout, old_entry("b"), old_entry("a", status="running", extra={"x": 1}), version=2, owner="me")
    raw = layout.registry.read_bytes()
    assert list(statuses(registry).items()) == [("b", "completed"), ("a", "running")]
    assert layout.registry.read_bytes() == raw
    record = published(layout, registry)
    document = json.loads(layout.registry.read_bytes())
    assert (document["version"], document["owner"]) == (2, "me")
    assert [line["experiment_id"] for line in document["experiments"]] == ["b", "a", record.experiment_id]
    assert document["experiments"][1]["extra"] == {"x": 1}


def test_metrics_of_the_old_tool_come_from_its_folders(registry, layout, base):
    """It listed none; a summary that is missing or damaged leaves none, and the registry stays as it is."""
    summaries = {"good": '{"f1": 0.5, "val": {"auc": NaN}, "model": "bert"}', "cut": '{"f1": 0.', "list": "[1]"}
    write_old(layout, *[old_entry(name) for name in [*summaries, "absent"]], old_entry("listed", metrics={"f1": 0.1}))
    for name in [*summaries, "absent", "listed"]:
        layout.experiment(name).metrics.mkdir(parents=True)
        layout.experiment(name).final_summary.write_text(summaries.get(name, '{"f1": 0.9}'))
    layout.experiment("absent").final_summary.unlink()
    raw = layout.registry.read_bytes()
    found = {entry["experiment_id"]: entry.get("metrics") for entry in registry.entries()}
    kept = {"good": {"f1": 0.5, "val.auc": "NaN"}, "cut": None, "list": None, "absent": None, "listed": {"f1": 0.1}}
    assert found == kept
    manager = ExperimentManager(base)
    assert [one["experiment_id"] for one in manager.find("metrics.f1 > 0", sort="-metrics.f1")] == ["good", "listed"]
    assert layout.registry.read_bytes() == raw


def test_two_registries_in_one_directory_do_not_disturb_each_other(layout, base):
    """`registry_file` names another index of the same folders."""
    one, two = ExperimentManager(base), ExperimentManager(base, "other.json")
    one.create_experiment({}, "a")
    one.mark_complete()
    two.create_experiment({}, "b")
    two.mark_complete()
    assert len(one.list_experiments()) == len(two.list_experiments()) == 2


# --- damaged registries

DAMAGE = {
    "empty file": b"",
    "half": None,
    "NUL tail": None,
    "only NUL": b"\0" * 4096,
    "text": b"hello",
    "list": b"[]",
    "string": b'"experiments"',
    "no experiments": b'{"version": 2}',
    "experiments are an object": b'{"experiments": {}}',
    "an entry is a number": b'{"experiments": [3]}',
    "an entry has no id": b'{"experiments": [{"status": "completed"}]}',
    "an id is a number": b'{"experiments": [{"experiment_id": 3}]}',
    "merge conflict": None,
    "not text": b"\xff\xfe\xfd\xfc" * 10,
    "deep": b"[" * 100_000,
    "concatenated": None,
}


def damaged(kind: str, raw: bytes) -> bytes:
    """A registry that something happened to."""
    if kind == "half":
        return raw[: len(raw) // 2]
    if kind == "NUL tail":
        return raw + b"\0" * 512
    if kind == "concatenated":
        return raw + raw
    if kind == "merge conflict":
        lines = raw.splitlines(keepends=True)
        return b"".join([lines[0], b"<<<<<<< ours\n", *lines[1:], b">>>>>>> theirs\n"])
    return DAMAGE[kind]


@pytest.mark.parametrize("by", ["reader", "writer"])
@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_registry_is_moved_aside_and_rebuilt_and_said(registry, layout, caplog, kind, by):
    """Never overwritten: what was not understood is kept beside it."""
    records = [published(layout, registry, name, age) for age, name in enumerate("ab")]
    raw = damaged(kind, layout.registry.read_bytes())
    layout.registry.write_bytes(raw)
    expected = {record.experiment_id: "completed" for record in records}
    if by == "writer":
        expected[published(layout, registry, "c").experiment_id] = "completed"
    assert statuses(registry) == expected
    (aside,) = asides(layout)
    # A writer may have put its own line in before the damage was seen, but has taken nothing away.
    kept = set(aside.read_bytes().split(b"\n"))
    assert aside.read_bytes() == raw or {line.removesuffix(b",") for line in raw.split(b"\n")} <= {
        line.removesuffix(b",") for line in kept
    }
    assert str(layout.registry) in said(caplog)
    assert aside.name in said(caplog)
    assert registry_format.has_entry_lines(layout.registry.read_bytes())
    # Once is enough.
    assert statuses(registry) == expected
    assert len(asides(layout)) == 1


def test_damage_in_a_line_is_found_by_the_next_reader(registry, layout):
    """A writer that splices another line does not look at it."""
    records = [published(layout, registry, name, age) for age, name in enumerate("abc")]
    raw = layout.registry.read_bytes()
    lines = raw.split(b"\n")
    lines[2] = lines[2][:40] + b"\0" * 40 + lines[2][80:]
    layout.registry.write_bytes(b"\n".join(lines))
    last = published(layout, registry, "d", age=4)
    assert set(statuses(registry)) == {record.experiment_id for record in [*records, last]}
    assert len(asides(layout)) == 1
    json.loads(layout.registry.read_bytes())


def test_what_only_the_damaged_registry_knew_is_salvaged(registry, layout):
    """Experiments of the old tool have no record of their own."""
    known = old_entry("20200101_000000_old_a1b2c3d4", metrics={"f1": 0.5})
    write_old(layout, known, old_entry("20200102_000000_cut_a1b2c3d4"))
    layout.registry.write_bytes(layout.registry.read_bytes()[:-40])
    (entry,) = registry.entries()
    assert {**entry, "directory": "x"} == known
    record = published(layout, registry)
    assert set(statuses(registry)) == {known["experiment_id"], record.experiment_id}


def test_a_registry_cut_at_every_byte_lists_every_experiment(registry, layout):
    """Whatever the cut: every folder is listed with its own status, and the file is whole again."""
    records = [published(layout, registry, name, age) for age, name in enumerate("ab")]
    expected = {record.experiment_id: "completed" for record in records}
    raw = layout.registry.read_bytes()
    for cut in range(0, len(raw) - 1, 11):
        layout.registry.write_bytes(raw[:cut])
        assert statuses(registry) == expected
        assert len(json.loads(layout.registry.read_bytes())["experiments"]) == 2
    assert strays(layout) == []


def test_a_registry_with_any_bit_flipped_lists_every_experiment(registry, layout):
    """An error or not: every folder is listed with its own status."""
    record = published(layout, registry)
    raw = layout.registry.read_bytes()
    for place in range(0, len(raw), 5):
        flipped = bytearray(raw)
        flipped[place] ^= 1 << (place % 8)
        layout.registry.write_bytes(flipped)
        listed = statuses(registry)
        assert record.experiment_id in listed
        assert len(listed) <= 2


def test_a_damaged_registry_in_a_directory_of_the_old_tool_is_mended_by_the_first_look(base, caplog):
    """There is no folder of ours in it yet."""
    (base / "20200101_000000_old_a1b2c3d4").mkdir(parents=True)
    (base / "20200101_000000_old_a1b2c3d4" / "config.json").write_text("{}")
    (base / "experiment_registry.json").write_text('{"experiments": [')
    assert len(ExperimentManager(base).list_experiments()) == 1
    assert "moved to experiment_registry.json.damaged-" in said(caplog)
    assert len(json.loads((base / "experiment_registry.json").read_text())["experiments"]) == 1


@pytest.mark.parametrize("by", ["reader", "writer"])
def test_a_directory_in_place_of_the_registry_is_moved_aside(registry, layout, caplog, by):
    """With what is in it."""
    record = published(layout, registry)
    layout.registry.unlink()
    layout.registry.mkdir()
    (layout.registry / "mine").write_bytes(b"mine")
    expected = {record.experiment_id: "completed"}
    if by == "writer":
        expected[published(layout, registry, "b").experiment_id] = "completed"
    assert statuses(registry) == expected
    (aside,) = asides(layout)
    assert (aside / "mine").read_bytes() == b"mine"
    assert aside.name in said(caplog)


@pytest.mark.parametrize("by", ["reader", "writer"])
def test_a_dangling_link_in_place_of_the_registry_is_an_empty_one(registry, layout, tmp_path, by):
    """The disk that it leads to may have been cleaned."""
    record = published(layout, registry)
    layout.registry.unlink()
    layout.registry.symlink_to(tmp_path / "elsewhere.json")
    expected = {record.experiment_id: "completed"}
    if by == "writer":
        expected[published(layout, registry, "b").experiment_id] = "completed"
    assert statuses(registry) == expected


def test_a_link_that_leads_into_a_missing_directory_can_be_listed(registry, layout, tmp_path):
    """And starting an experiment says what is wrong."""
    record = published(layout, registry)
    layout.registry.unlink()
    layout.registry.symlink_to(tmp_path / "unmounted" / "registry.json")
    assert statuses(registry) == {record.experiment_id: "completed"}


def test_a_link_that_leads_to_itself_can_be_listed(registry, layout):
    """It is no registry."""
    record = published(layout, registry)
    layout.registry.unlink()
    layout.registry.symlink_to(layout.registry)
    assert statuses(registry) == {record.experiment_id: "completed"}


def test_a_link_to_a_file_elsewhere_stays_a_link(registry, layout, tmp_path):
    """Somebody keeps the index in a folder that is synchronised."""
    elsewhere = tmp_path / "synchronised" / "registry.json"
    elsewhere.parent.mkdir()
    elsewhere.write_bytes(registry_format.encode([old_entry("old")]))
    layout.registry.symlink_to(elsewhere)
    record = published(layout, registry)
    assert layout.registry.is_symlink()
    assert [line["experiment_id"] for line in json.loads(elsewhere.read_bytes())["experiments"]] == [
        "old",
        record.experiment_id,
    ]
    assert os.listdir(elsewhere.parent) == ["registry.json"]


def test_damage_behind_a_link_is_kept_as_well(registry, layout, tmp_path):
    """Moved aside or left where it is, but never overwritten."""
    record = published(layout, registry)
    elsewhere = tmp_path / "registry.json"
    elsewhere.write_bytes(b"precious but no JSON")
    layout.registry.unlink()
    layout.registry.symlink_to(elsewhere)
    assert statuses(registry) == {record.experiment_id: "completed"}
    assert any(path.read_bytes() == b"precious but no JSON" for path in [*asides(layout), elsewhere] if path.is_file())


def test_an_id_that_stands_twice_is_listed_once(registry, layout):
    """Two lists were merged by hand; the folder says what is true."""
    record = published(layout, registry)
    line = layout.registry.read_bytes().splitlines()[1]
    old = line.replace(b'"completed"', b'"running"')
    for first, second in ((old, line), (line, old)):
        layout.registry.write_bytes(b'{"experiments": [\n' + first + b",\n" + second + b"\n]}\n")
        assert statuses(registry) == {record.experiment_id: "completed"}
        change(layout, record, notes="new")
        registry.apply(record.experiment_id)
        (entry,) = registry.entries()
        assert (entry["status"], entry["notes"]) == ("completed", "new")
        change(layout, record, notes=None)


def test_an_id_that_stands_twice_does_not_make_every_look_a_rewrite(registry, layout):
    """What was repaired once is repaired."""
    record = published(layout, registry)
    line = layout.registry.read_bytes().splitlines()[1]
    old = line.replace(b'"completed"', b'"running"')
    layout.registry.write_bytes(b'{"experiments": [\n' + line + b",\n" + old + b"\n]}\n")
    assert statuses(registry) == {record.experiment_id: "completed"}
    before = layout.registry.stat().st_ino
    assert statuses(registry) == {record.experiment_id: "completed"}
    assert layout.registry.stat().st_ino == before


OUTSIDE = [
    "../outside",
    "../../outside",
    "../../../outside",
    "../../../none",
    "/outside",
    "a/../../outside",
    "..",
    ".",
    "",
    "a\\..\\b",
    "experiments/x",
]


@pytest.mark.parametrize("status", ["running", "completed"])
@pytest.mark.parametrize("experiment_id", OUTSIDE)
def test_an_id_that_would_leave_the_directory_is_neither_followed_nor_listed(
    registry, layout, tmp_path, experiment_id, status
):
    """Nothing is read for it, or made, but in the folder of an experiment."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "mine").write_bytes(b"mine")
    write_old(layout, old_entry(experiment_id, status=status), old_entry("fine", status=status))
    record = ended(layout, create(layout))
    before = set(tmp_path.rglob("*"))
    for _ in range(2):
        assert set(statuses(registry)) == {"fine", record.experiment_id}
    assert set(tmp_path.rglob("*")) - before <= {layout.registry_lock}


def test_a_record_outside_of_the_directory_is_not_read_for_an_id_that_leads_there(registry, layout, base, tmp_path):
    """Another base directory beside this one is none of its business."""
    other = BaseLayout(tmp_path / "other")
    base_directory.prepare(other)
    secret = ended(other, create(other, "secret"))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "other").rglob("*")}
    write_old(layout, old_entry(f"../other/{secret.experiment_id}", status="running", custom_name="x"))
    record = ended(layout, create(layout))
    assert set(statuses(registry)) == {record.experiment_id}
    assert b'"custom_name": "secret"' not in layout.registry.read_bytes()
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "other").rglob("*")} == before


@pytest.mark.parametrize(
    "experiment_id",
    [
        "x" * 300,
        "\\ud800",
        "\\u202egnp",
        "\\u001b[31m",
        "-rf",
        "~",
        "a:b",
        "CON",
        ".runbook",
        "experiment_registry.json",
    ],
)
@pytest.mark.parametrize("status", ["running", "completed", "dancing"])
def test_a_strange_id_stops_nobody(registry, layout, experiment_id, status):
    """Neither the list nor the next experiment."""
    text = json.dumps({"experiments": [old_entry("ID", status=status)]}).replace('"ID"', f'"{experiment_id}"')
    layout.registry.write_text(text)
    assert len(statuses(registry)) <= 1
    record = published(layout, registry)
    assert record.experiment_id in statuses(registry)


@pytest.mark.parametrize("value", [None, 3, "text", [], [1], {}, {"a": 1}, True, 1e999])
@pytest.mark.parametrize(
    "field",
    [
        "status",
        "timestamp",
        "config",
        "custom_name",
        "metrics",
        "tags",
        "directory",
        "completed_at",
        "end_reason",
        "notes",
    ],
)
def test_a_field_of_the_wrong_type_stops_nobody(base, manager, field, value):
    """A registry may have been edited by hand: the list, the table and the next experiment work all the same."""
    entry = old_entry("20200101_000000_old_a1b2c3d4", **{field: value})
    (base / "20200101_000000_old_a1b2c3d4").mkdir()
    (base / "experiment_registry.json").write_text(json.dumps({"experiments": [entry]}))
    assert [found["experiment_id"] for found in manager.list_experiments()] == [entry["experiment_id"]]
    manager.create_experiment({})
    manager.mark_complete()
    assert len(manager.list_experiments()) == 2
    manager.print_experiment_summary()
    try:
        manager.get_experiment(entry["experiment_id"])
    except errors.DamagedFileError as error:
        assert field in error.problem


def test_half_a_character_in_a_registry_stops_nobody(registry, layout):
    """`json.dump` writes lone surrogates as escapes, and UTF-8 has no form for them."""
    write_old(layout, old_entry("old", description="\ud83d", config={"\ud83d": ["\udfff"]}))
    assert b"\\ud83d" in layout.registry.read_bytes()
    record = published(layout, registry)
    assert set(statuses(registry)) == {"old", record.experiment_id}


# --- base directories that resist


def test_a_file_in_place_of_the_base_directory_is_said(tmp_path):
    """By the list as well as by the start."""
    (tmp_path / "file").touch()
    with pytest.raises(errors.BaseDirectoryError, match="is a file"):
        JsonRegistry(BaseLayout(tmp_path / "file"), "file").entries()


def test_our_own_folder_can_be_deleted_while_nothing_runs(registry, layout, base):
    """Nothing in it is worth anything then."""
    record = published(layout, registry)
    shutil.rmtree(layout.private)
    assert statuses(registry) == {record.experiment_id: "completed"}
    manager = ExperimentManager(base)
    manager.create_experiment({})
    manager.mark_complete()
    assert len(manager.list_experiments()) == 2


def test_without_the_registry_everything_is_still_there(registry, layout):
    """The folder is the truth, the registry is an index."""
    records = [published(layout, registry, name, age) for age, name in enumerate("abc")]
    before = registry.entries()
    layout.registry.unlink()
    assert registry.entries() == before
    assert [entry["experiment_id"] for entry in before] == [record.experiment_id for record in records]


def test_a_lock_that_cannot_be_had_is_said_and_loses_nothing(registry, layout, caplog, monkeypatch, registry_of, base):
    """The record is in its folder; readers see it by its mark, and the next writer brings the line up to date."""
    from runbook.index import registry as module

    first = published(layout, registry)
    monkeypatch.setattr(module, "LOCK_TIMEOUT_S", 0.05)
    record = create(layout, "b")
    with filelock.FileLock(layout.registry_lock):
        registry.apply(record.experiment_id)
        assert str(layout.registry_lock) in said(caplog)
        assert "nothing is lost" in said(caplog)
        assert set(statuses(registry)) == {first.experiment_id, record.experiment_id}
        assert len(registry_of(base)) == 1
    assert set(statuses(registry)) == {first.experiment_id, record.experiment_id}
    assert len(registry_of(base)) == 2


def run_python(code: str, *args: object, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess:
    """A program of its own."""
    command = [*before, sys.executable, "-c", textwrap.dedent(code), *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def works(*command: str) -> bool:
    """Whether a command is installed and allowed here."""
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


READ_ONLY = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && shift && exec "$@"'
needs_namespaces = pytest.mark.skipif(
    not works("unshare", "-m", "sh", "-c", "mount -t tmpfs none /mnt"), reason="no right to mount in a namespace"
)
LIST = """
    import sys
    from runbook import ExperimentManager
    for entry in ExperimentManager(sys.argv[1]).list_experiments():
        print(entry["experiment_id"], entry["status"])
"""


@needs_namespaces
@pytest.mark.parametrize("state", ["whole", "marked", "damaged", "without registry", "of the old tool"])
def test_a_read_only_base_directory_can_be_listed(registry, layout, base, state):
    """An archive on a disk that nobody may write to; what is stale or damaged is read from the folders."""
    record = published(layout, registry)
    change(layout, record, status=Status.FAILED)
    if state in {"whole", "marked"}:
        registry.mark_pending(record.experiment_id)
    if state == "whole":
        registry.entries()
    if state == "damaged":
        layout.registry.write_bytes(b"{")
    if state in {"without registry", "of the old tool"}:
        layout.registry.unlink()
    if state == "of the old tool":
        shutil.rmtree(layout.private)
    done = run_python(LIST, base, before=("unshare", "-m", "sh", "-c", READ_ONLY, "sh", str(base)))
    assert done.stdout == f"{record.experiment_id} failed\n", done.stderr
    assert "Traceback" not in done.stderr


@needs_namespaces
def test_a_read_only_base_directory_refuses_an_experiment_and_says_so(registry, layout, base):
    """At the start, with the path and a hint; nothing is half created."""
    before = sorted(os.listdir(base))
    code = """
        import sys
        from runbook import ExperimentManager
        from runbook.errors import BaseDirectoryError
        try:
            ExperimentManager(sys.argv[1]).create_experiment({})
        except BaseDirectoryError as error:
            print(error)
    """
    done = run_python(code, base, before=("unshare", "-m", "sh", "-c", READ_ONLY, "sh", str(base)))
    assert "cannot be written to" in done.stdout, done.stderr
    assert str(base) in done.stdout
    assert "base_dir=" in done.stdout
    assert sorted(os.listdir(base)) == before


def as_user(number: int, umask: str = "022", *, member: bool = True) -> tuple[str, ...]:
    """Run as a user with a umask; a member of the group 23456 or not."""
    groups = "--groups=23456" if member else "--clear-groups"
    # By way of a shell, because the program that setpriv starts still has root's capabilities, and the next has not.
    return ("setpriv", f"--reuid={number}", "--regid=65534", groups, "sh", "-c", f'umask {umask} && exec "$@"', "sh")


needs_users = pytest.mark.skipif(
    not works("setpriv", "--version") or not works(*as_user(12345), sys.executable, "-c", "import runbook"),
    reason="needs setpriv, the right to use it, and an interpreter that other users may run",
)


@pytest.fixture
def shared(tmp_path):
    """A folder that the group 23456 shares, below directories that anybody may pass."""
    place = tmp_path / "shared"
    place.mkdir()
    os.chown(place, -1, 23456)
    place.chmod(0o2775)
    opened = [parent for parent in place.parents if parent.stat().st_mode & 0o001 == 0]
    before = {parent: parent.stat().st_mode for parent in opened}
    for parent in opened:
        parent.chmod(before[parent] | 0o011)
    yield place
    for parent, mode in before.items():
        parent.chmod(mode)


USER = """
    import sys
    from runbook import ExperimentManager
    manager = ExperimentManager(sys.argv[1])
    manager.create_experiment({}, sys.argv[2])
    manager.save_final_metrics({"f1": 1})
    manager.mark_complete()
    for entry in manager.list_experiments():
        print(entry["custom_name"], entry["status"])
        print(manager.get_experiment(entry["experiment_id"]).load_metrics()["f1"])
"""


@needs_users
@pytest.mark.parametrize("umask", ["022", "077"])
@pytest.mark.parametrize("inner", [".", "experiments", "new/experiments"])
def test_two_users_share_a_group_writable_folder(shared, inner, umask):
    """Each starts, ends and reads; nobody is locked out by the other, whether the base directory exists yet or not."""
    place = shared / inner
    for round_, (user, name) in enumerate([(12345, "a"), (12346, "b"), (12345, "c")], start=1):
        done = run_python(USER, place, name, before=as_user(user, umask))
        assert done.returncode == 0, done.stderr
        expected = "".join(f"{earlier} completed\n1\n" for earlier in "abc"[:round_])
        assert done.stdout == expected, done.stderr
        assert done.stderr == ""


@needs_users
def test_a_user_who_may_only_read_can_list(shared):
    """Without the right to lock, to mark or to write."""
    record = run_python(USER, shared, "a", before=as_user(12345, "022"))
    assert record.returncode == 0, record.stderr
    done = run_python(LIST, shared, before=as_user(12347, member=False))
    assert done.stdout.endswith(" completed\n"), done.stderr
    assert done.stderr == ""


# A large registry


@pytest.fixture
def large(layout, registry) -> JsonRegistry:
    """A registry that is too large to be rewritten for each change: for one in four."""
    record = ended(layout, create(layout, "old", -100, config={"text": "x" * (4 * 128 * 1024 - 2000)}))
    registry.apply(record.experiment_id)
    assert listed_in_file(layout) == ["old"]
    return registry


def listed_in_file(layout) -> list[str]:
    """The names in the file, for anybody who reads it without runbook."""
    return [entry["custom_name"] for entry in json.loads(layout.registry.read_bytes())["experiments"]]


def test_a_large_registry_is_rewritten_for_several_changes_at_once(layout, large):
    """A rewrite costs time in proportion to its size, so changes gather until it is worth it."""
    before = layout.registry.read_bytes()
    for age in range(3):
        published(layout, large, f"new{age}", age)
        assert layout.registry.read_bytes() == before
    published(layout, large, "new3", 3)
    assert listed_in_file(layout) == ["old", "new0", "new1", "new2", "new3"]
    assert marks(layout) == []


def test_readers_of_a_large_registry_are_current_and_write_back_what_they_found(layout, large):
    """Through our own doors nobody sees a file that is behind."""
    record = published(layout, large, "new")
    assert listed_in_file(layout) == ["old"]
    assert statuses(large)[record.experiment_id] == "completed"
    assert listed_in_file(layout) == ["old", "new"]
    change(layout, record, notes="later")
    large.apply(record.experiment_id)
    assert [entry["notes"] for entry in large.entries()] == [None, "later"]


def test_a_change_that_is_folded_while_the_registry_is_read_is_shown(layout, large, base, monkeypatch):
    """The reader has the file from before, and the mark is gone when it has read that."""
    record = published(layout, large, "new")
    assert statuses(large)[record.experiment_id] == "completed"
    change(layout, record, notes="later")
    large.apply(record.experiment_id)
    os.utime(layout.registry, (0, 0))
    opened = IndexFile._open

    def folded_meanwhile(self):
        file = opened(self)
        monkeypatch.setattr(IndexFile, "_open", opened)
        JsonRegistry(layout, str(base)).flush()
        assert marks(layout) == []
        return file

    monkeypatch.setattr(IndexFile, "_open", folded_meanwhile)
    assert [entry["notes"] for entry in large.entries()] == [None, "later"]


def test_only_what_is_wanted_is_kept_and_each_is_asked_for_as_it_is_now(layout, registry):
    """Also one whose line is out of date, and one that is in no line; and of heads no more than what tells them apart."""
    first, second, third = (published(layout, registry, name, age) for age, name in enumerate("abc"))
    change(layout, second, notes="later")
    registry.mark_pending(second.experiment_id)
    fourth = ended(layout, create(layout, "d", 4))
    asked = []

    def is_wanted(entry):
        asked.append((entry["custom_name"], entry["notes"], entry["directory"]))
        return entry["custom_name"] in "bd"

    found = registry.entries(is_wanted)
    assert [entry["experiment_id"] for entry in found] == [second.experiment_id, fourth.experiment_id]
    root = str(layout.root) + os.sep
    assert sorted(asked) == [
        ("a", None, root + first.experiment_id),
        ("b", "later", root + second.experiment_id),
        ("c", None, root + third.experiment_id),
        ("d", None, root + fourth.experiment_id),
    ]
    heads = registry.summaries()
    keys = {"experiment_id", "timestamp", "custom_name", "end_reason"}
    assert heads == [{key: entry[key] for key in entry if key in keys} for entry in registry.entries()]


def test_one_of_the_seeds_tool_that_runs_keeps_its_place(registry, layout):
    """Those have the order of the file, and what runs is looked at last."""
    names = ["20241216_143052_c", "20241216_143052_a", "20241216_143052_b"]
    lines = [old_entry(name, status="running" if name.endswith("c") else "completed") for name in names]
    layout.registry.write_bytes(registry_format.encode(lines))
    assert [entry["experiment_id"] for entry in registry.entries()] == names


def test_damage_far_behind_what_was_read_loses_nothing(registry, layout, monkeypatch):
    """Whoever was asked about the first ones is asked again."""
    monkeypatch.setattr(registry_format, "_BLOCK", 1)
    for age, name in enumerate("abc"):
        published(layout, registry, name, age)
    whole = registry.entries()
    raw = layout.registry.read_bytes()
    layout.registry.write_bytes(raw[::-1].replace(b'"metrics": {'[::-1], b'"metrics": {"x": y'[::-1], 1)[::-1])
    asked = []
    assert registry.entries(lambda entry: asked.append(entry["custom_name"]) or True) == whole
    assert asked == ["a", "b", "a", "b", "c"]
    assert json.loads(layout.registry.read_bytes())["experiments"] == whole


def test_the_end_of_a_program_brings_a_large_registry_up_to_date(layout, large):
    """Not a moment after another program has done it: one now and then does it for all."""
    published(layout, large, "new")
    soon = time.time() + 100
    os.utime(layout.registry, (soon, soon))
    large.flush()
    assert listed_in_file(layout) == ["old"]
    os.utime(layout.registry, (0, 0))
    with marks_locked_elsewhere(layout):
        large.flush()
    assert listed_in_file(layout) == ["old"]
    large.flush()
    assert listed_in_file(layout) == ["old", "new"]
    before = layout.registry.stat()
    large.flush()
    assert layout.registry.stat().st_ino == before.st_ino


def test_a_program_that_ends_leaves_a_large_registry_current(layout, large, script):
    """For whoever reads the file without runbook; a killed one leaves its marks to the next reader."""
    os.utime(layout.registry, (0, 0))
    code = """
        import os, sys
        from runbook import experiment
        with experiment({"lr": 1}, name=sys.argv[1]):
            pass
        if sys.argv[1] == "killed":
            os.kill(os.getpid(), 9)
    """
    assert script.run(code, "killed").returncode == -9
    assert listed_in_file(layout) == ["old"]
    assert script.run(code, "ended").returncode == 0
    assert sorted(listed_in_file(layout)) == ["ended", "killed", "old"]


def marks_locked_elsewhere(layout):
    """The registry's lock in other hands."""
    return filelock.FileLock(layout.registry_lock, is_singleton=False)


def test_experiments_of_one_second_are_listed_by_their_start_whatever_the_order_in_the_file(layout, registry):
    """So that `latest` is the latest also after the registry was rebuilt from the folders."""
    moments = [MOMENT + timedelta(milliseconds=part) for part in (300, 100, 200)]
    for name, moment in zip("abc", moments, strict=True):
        record = ended(layout, create(layout, name, timestamp=moment))
        registry.apply(record.experiment_id)
    assert [entry["custom_name"] for entry in registry.entries()] == ["b", "c", "a"]
    layout.registry.write_bytes(b"{")
    assert [entry["custom_name"] for entry in registry.entries()] == ["b", "c", "a"]
