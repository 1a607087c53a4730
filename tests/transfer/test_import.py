"""Importing experiments from bundles and folders, also from untrusted people."""

from __future__ import annotations

import errno as ERRNO
import hashlib
import json
import os
import shutil
import signal
import stat
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runbook import ExperimentManager, errors
from runbook.index.registry import JsonRegistry
from runbook.record.layout import MANIFEST_FILE, BaseLayout
from runbook.transfer.archive import Limits
from runbook.transfer.bundle import export_folder, export_zip
from runbook.transfer.import_ import EVIDENCE, import_bundle

LEGACY_ID = "20241216_143052_my model!_a1b2c3d4"


@pytest.fixture
def source(tmp_path):
    """A base directory with one experiment that has ended."""
    manager = ExperimentManager(tmp_path / "source")
    with manager.experiment({"lr": 0.1}, name="baseline") as exp:
        exp.log(loss=0.5)
        exp.save_final_metrics({"f1": 0.9})
        exp.save_predictions({"y": [1, 2, 3]})
        (exp.checkpoints_dir / "weights.bin").write_bytes(os.urandom(2000))
    return manager


@pytest.fixture
def view(source):
    """That experiment."""
    return source.get_experiment("baseline")


@pytest.fixture
def bundle(view, tmp_path):
    """It, as a zip file."""
    return export_zip(view, tmp_path / "x.zip")


@pytest.fixture
def registry(base):
    """The index of a base directory that does not exist yet."""
    return JsonRegistry(BaseLayout(base), str(base))


def files_in(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def orphans(base):
    """The staged folders that an import left behind."""
    incoming = base / ".runbook" / "incoming"
    return sorted(path.name for path in incoming.iterdir()) if incoming.exists() else []


def listed(base):
    return {entry["experiment_id"]: entry for entry in ExperimentManager(base).list_experiments()}


def assert_untouched(base):
    """No experiment was imported, and nothing is left behind."""
    assert listed(base) == {}
    assert orphans(base) == []
    assert [path.name for path in base.iterdir() if not path.name.startswith((".runbook", "experiment_registry"))] == []


@pytest.mark.parametrize("form", ["zip", "folder", "exported folder"])
def test_an_experiment_is_imported_whole(registry, base, view, bundle, tmp_path, form):
    """Every file, byte for byte and with its time, and an entry in the registry."""
    path = {"zip": lambda: bundle, "folder": lambda: view.path}.get(
        form, lambda: export_folder(view, tmp_path / "out")
    )()
    assert import_bundle(registry, path) == view.id
    assert files_in(base / view.id) == files_in(view.path)
    for name in files_in(view.path):
        assert (base / view.id / name).stat().st_mtime_ns == (view.path / name).stat().st_mtime_ns
    entry = listed(base)[view.id]
    assert (entry["status"], entry["metrics"]["f1"], entry["directory"]) == ("completed", 0.9, str(base / view.id))
    assert all(inner.is_dir() for inner in BaseLayout(base).experiment(view.id).folders)
    assert orphans(base) == []
    mine = ExperimentManager(base).get_experiment("baseline")
    assert mine.history()["loss"] == [0.5]
    assert mine.load_predictions(allow_pickle=True) == {"y": [1, 2, 3]}


@pytest.mark.parametrize("on_conflict", ["error", "rename", "skip"])
@pytest.mark.parametrize("form", ["zip", "folder"])
def test_what_is_there_already_is_skipped(registry, base, view, bundle, on_conflict, form):
    """The same content is no conflict."""
    path = bundle if form == "zip" else view.path
    assert import_bundle(registry, path) == view.id
    before = files_in(base / view.id)
    assert import_bundle(registry, path, on_conflict) is None
    assert files_in(base / view.id) == before and len(listed(base)) == 1


def test_a_conflict_is_an_error_by_default(registry, base, view, bundle):
    """The message has a hint, and nothing has changed."""
    import_bundle(registry, bundle)
    (base / view.id / "results" / "mine.txt").write_text("mine")
    before = files_in(base)
    with pytest.raises(errors.ExperimentExistsError, match="on_conflict='rename'") as caught:
        import_bundle(registry, bundle)
    assert isinstance(caught.value, FileExistsError) and caught.value.experiment_id == view.id
    assert {k: v for k, v in files_in(base).items() if not k.startswith(".runbook")} == {
        k: v for k, v in before.items() if not k.startswith(".runbook")
    }
    assert orphans(base) == []


def test_a_conflict_can_be_skipped(registry, base, view, bundle):
    """What is there stays as it is."""
    import_bundle(registry, bundle)
    (base / view.id / "results" / "mine.txt").write_text("mine")
    assert import_bundle(registry, bundle, "skip") is None
    assert (base / view.id / "results" / "mine.txt").read_text() == "mine" and len(listed(base)) == 1


@pytest.mark.parametrize("form", ["zip", "folder"])
def test_a_conflict_can_be_renamed(registry, base, view, bundle, form):
    """Both are there then; the record of the new one has the new id; a second time brings nothing."""
    path = bundle if form == "zip" else view.path
    import_bundle(registry, path)
    (base / view.id / "results" / "mine.txt").write_text("mine")
    new = import_bundle(registry, path, "rename")
    assert new == view.id.replace("_baseline_", "_baseline-2_")
    assert json.loads((base / new / "experiment.json").read_text())["experiment_id"] == new
    assert set(listed(base)) == {view.id, new}
    assert import_bundle(registry, path, "rename") is None
    (base / new / "results" / "mine.txt").write_text("mine")
    assert import_bundle(registry, path, "rename") == view.id.replace("_baseline_", "_baseline-3_")


def test_fields_that_this_version_does_not_know_survive_a_new_id(registry, base, view):
    """A newer minor version may have written more."""
    record = json.loads((view.path / "experiment.json").read_text())
    (view.path / "experiment.json").write_text(json.dumps({**record, "mood": "good"}))
    import_bundle(registry, view.path)
    (base / view.id / "results" / "mine.txt").write_text("mine")
    new = import_bundle(registry, view.path, "rename")
    assert json.loads((base / new / "experiment.json").read_text())["mood"] == "good"


def test_an_unknown_choice_is_refused(registry, bundle, base):
    """The message names the three."""
    with pytest.raises(errors.InvalidNameError, match="none of error, rename, skip"):
        import_bundle(registry, bundle, "overwrite")
    assert not base.exists()


def test_a_missing_path_is_a_missing_file(registry, tmp_path, base):
    """FileNotFoundError names it; no base directory is made."""
    with pytest.raises(FileNotFoundError, match="nowhere.zip"):
        import_bundle(registry, tmp_path / "nowhere.zip")
    assert not base.exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_at_once(registry, tmp_path):
    """Opening it would wait for ever."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(errors.BundleError, match="neither a file nor a folder"):
        import_bundle(registry, tmp_path / "pipe")


# Running experiments


@pytest.mark.parametrize("form", ["zip", "exported folder"])
def test_a_running_experiment_is_interrupted_in_its_copy(registry, base, source, tmp_path, form):
    """No process works on the copy; its end is the last sign of life in it, whenever it is imported."""
    with source.experiment({}, name="live") as exp:
        exp.log(loss=1.0)
        live = source.get_experiment(exp.id)
        path = export_zip(live, tmp_path / "live.zip") if form == "zip" else export_folder(live, tmp_path / "out")
        assert import_bundle(registry, path) == exp.id
        assert import_bundle(registry, path, "rename") is None
    record = json.loads((base / exp.id / "experiment.json").read_text())
    assert (record["status"], record["end_reason"]) == ("interrupted", "vanished")
    assert record["attempts"][-1]["evidence"] == EVIDENCE
    written = max(p.stat().st_mtime for p in (base / exp.id).rglob("*") if p.is_file() and p.name != "experiment.json")
    from datetime import datetime

    assert abs(datetime.fromisoformat(record["completed_at"]).timestamp() - written) < 1
    assert listed(base)[exp.id]["status"] == "interrupted"


def test_a_living_experiment_that_is_copied_in_place_is_not_called_dead(registry, base, source):
    """From its own folder, while its process holds its run lock, it is imported as running."""
    with source.experiment({}, name="live") as exp:
        assert import_bundle(registry, exp.path) == exp.id
        assert listed(base)[exp.id]["status"] == "running"
    assert ExperimentManager(base).get_experiment(exp.id).history() == {"step": [], "time": []}


def test_a_folder_that_was_renamed_keeps_its_id(registry, base, view, tmp_path):
    """`cp -r … best` is the experiment that its record names."""
    shutil.copytree(view.path, tmp_path / "best")
    assert import_bundle(registry, tmp_path / "best") == view.id
    assert set(listed(base)) == {view.id}


# The legacy tool


def legacy_folder(base, experiment_id=LEGACY_ID):
    (base / experiment_id / "metrics").mkdir(parents=True)
    (base / experiment_id / "config.json").write_text('{"lr": 0.1}')
    (base / experiment_id / "metrics" / "final_summary.json").write_text('{"f1": 0.9}')
    return base / experiment_id


def test_a_folder_of_the_legacy_tool_is_imported(registry, base, tmp_path):
    """It has a config and no record; its status is unknown."""
    folder = legacy_folder(tmp_path / "old")
    assert import_bundle(registry, folder) == LEGACY_ID
    entry = listed(base)[LEGACY_ID]
    assert (entry["status"], entry["config"]) == ("unknown", {"lr": 0.1})
    assert import_bundle(registry, folder) is None


def test_a_bundle_of_the_legacy_tool_keeps_its_fields(registry, base, tmp_path):
    """The fields of its entry are imported with it."""
    legacy_folder(tmp_path / "old")
    line = {"experiment_id": LEGACY_ID, "timestamp": "2024-12-16T14:30:52", "status": "completed", "notes": "good"}
    (tmp_path / "old" / "experiment_registry.json").write_text(json.dumps({"experiments": [line]}))
    path = export_zip(ExperimentManager(tmp_path / "old").get_experiment(LEGACY_ID), tmp_path / "x.zip")
    assert import_bundle(registry, path) == LEGACY_ID
    entry = listed(base)[LEGACY_ID]
    assert (entry["status"], entry["notes"], entry["directory"]) == ("completed", "good", str(base / LEGACY_ID))
    assert import_bundle(registry, path) is None


def test_a_folder_of_something_else_is_refused(registry, base, tmp_path, source):
    """The message names the missing files, and the way to bring in a whole base directory."""
    (tmp_path / "photos").mkdir()
    for path in (tmp_path / "photos", source.base_dir):
        with pytest.raises(errors.BundleError, match="neither experiment.json nor config.json.*merge"):
            import_bundle(registry, path)
    assert_untouched(base)


@pytest.mark.parametrize(
    "name", ["experiment_registry.json", ".runbook", "photos", "20241216_143052_a\x1b[2J_a1b2c3d4"]
)
def test_a_folder_whose_name_is_no_id_is_refused(registry, base, tmp_path, name):
    """It could have the path of another file, or control the terminal."""
    with pytest.raises(errors.BundleError, match="impossible id") as caught:
        import_bundle(registry, legacy_folder(tmp_path / "old", name))
    assert "\x1b" not in str(caught.value).replace(str(tmp_path / "old" / name), "")
    assert_untouched(base)


def test_links_in_a_folder_become_files_or_stay_outside(registry, base, view, tmp_path, caplog):
    """Only regular files are imported."""
    (tmp_path / "secret.txt").write_text("secret")
    (view.results_dir / "stolen").symlink_to(tmp_path / "secret.txt")
    (view.results_dir / "latest.bin").symlink_to("../checkpoints/weights.bin")
    import_bundle(registry, view.path)
    assert not any(path.is_symlink() for path in (base / view.id).rglob("*"))
    assert (base / view.id / "results" / "latest.bin").read_bytes() == (
        view.path / "checkpoints/weights.bin"
    ).read_bytes()
    assert not (base / view.id / "results" / "stolen").exists() and "'results/stolen'" in caplog.text


# Hostile bundles


ID = "20241216_143052_baseline_a1b2c3d4"
CONFIG = b'{"lr": 0.1}'
RECORD = {
    "format_version": 1,
    "experiment_id": ID,
    "timestamp": "2024-12-16T14:30:52+00:00",
    "status": "completed",
    "config": {"lr": 0.1},
    "config_hash": "a1b2c3d4",
}


def row(path, content, **wrong):
    return {
        "path": path,
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "modified_ns": 1,
        **wrong,
    }


def honest():
    """A bundle that is right: its files, the rows of its manifest, and the manifest's own fields."""
    files = {"experiment.json": json.dumps(RECORD).encode(), "config.json": CONFIG}
    return files, [row(name, content) for name, content in files.items()], {}


def write(path, members, rows, **fields):
    """A zip file of these members: (name or ZipInfo, content)."""
    manifest = {"format_version": 1, "experiment_id": ID, "record": RECORD, "files": rows, **fields}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
        archive.writestr(MANIFEST_FILE, json.dumps(manifest))
    return path


def test_a_bundle_made_by_hand_can_be_right(registry, base, tmp_path):
    """The helper of the tests below makes a bundle that is accepted until a test changes one thing."""
    files, rows, fields = honest()
    path = write(tmp_path / "x.zip", [(f"{ID}/{name}", content) for name, content in files.items()], rows, **fields)
    assert import_bundle(registry, path) == ID


def relative(name):
    return name.removeprefix(f"{ID}/")


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("/etc/evil", "leads elsewhere"),
        ("../evil", "leads elsewhere"),
        (f"{ID}/../../evil", "leads elsewhere"),
        (f"{ID}/results/../../../evil", "leads elsewhere"),
        (f"{ID}//evil", "leads elsewhere"),
        (f"{ID}/./evil", "leads elsewhere"),
        (f"{ID}/a\\..\\..\\evil", "not every system"),
        ("C:/evil", "not every system"),
        (f"{ID}/evil:stream", "not every system"),
        (f"{ID}/a\x1b[31m", "not every system"),
        (f"{ID}/a\u202eb", "not every system"),
        (f"{ID}/a\nb", "not every system"),
        (f"{ID}/NUL", "device on Windows"),
        (f"{ID}/com1.txt/x", "device on Windows"),
        (f"{ID}/dot.", "ends with a dot"),
        (f"{ID}/{'x' * 256}", "longer than 255 bytes"),
        (f"{ID}/{'x/' * 600}x", "longer than 1024 bytes"),
        (f"{ID}/CONFIG.json", "differs only by case"),
        (f"{ID}/config.json/x", "there twice"),
        (f"{ID}/results/", "leads elsewhere"),
        ("another/experiment.json", "not in runbook-manifest.json|in runbook-manifest.json, but"),
        ("evil", "not in runbook-manifest.json|in runbook-manifest.json, but"),
    ],
)
def test_a_name_that_leads_elsewhere_is_refused(registry, base, tmp_path, name, problem):
    """Only `<id>/…` of plain names; the message shows the name as a literal."""
    files, rows, _ = honest()
    members = [*((f"{ID}/{n}", c) for n, c in files.items()), (name, b"x")]
    path = write(tmp_path / "x.zip", members, [*rows, row(relative(name), b"x")])
    with pytest.raises(errors.BundleError, match=problem) as caught:
        import_bundle(registry, path)
    assert repr(caught.value.member) in str(caught.value)
    assert_untouched(base)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["experiments", "x.zip"] and not Path("/etc/evil").exists()


def special(mode, name=f"{ID}/results/x"):
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = mode << 16
    return info


@pytest.mark.parametrize(
    "kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK, stat.S_IFDIR], ids=oct
)
def test_only_regular_files_are_imported(registry, base, tmp_path, kind):
    """A link in a bundle could point anywhere."""
    files, rows, _ = honest()
    members = [*((f"{ID}/{n}", c) for n, c in files.items()), (special(kind | 0o777), b"/etc/passwd")]
    path = write(tmp_path / "x.zip", members, [*rows, row("results/x", b"/etc/passwd")])
    with pytest.raises(errors.BundleError, match="is not a regular file"):
        import_bundle(registry, path)
    assert_untouched(base)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_is_there_twice_is_refused(registry, base, tmp_path):
    """Programs differ in which of the two they read."""
    files, rows, _ = honest()
    members = [*((f"{ID}/{n}", c) for n, c in files.items()), (f"{ID}/config.json", b"{}")]
    with pytest.raises(errors.BundleError, match="is there twice"):
        import_bundle(registry, write(tmp_path / "x.zip", members, rows))
    assert_untouched(base)


CHANGES = {
    "a wrong checksum": (lambda rows: [{**rows[0], "sha256": "0" * 64}, rows[1]], {}, "checksum differs"),
    "a wrong size": (lambda rows: [{**rows[0], "size": 3}, rows[1]], {}, "bytes, and 3 by"),
    "a file that is not there": (lambda rows: [*rows, row("results/x", b"x")], {}, "but not in the bundle"),
    "a file less": (lambda rows: rows[:1], {}, "is not in runbook-manifest.json"),
    "a file twice": (lambda rows: [*rows, rows[0]], {}, "names a file twice"),
    "a size that is no number": (lambda rows: [{**rows[0], "size": "3"}, rows[1]], {}, "expected a whole number"),
    "no list": (lambda rows: None, {}, "is damaged"),
    "another id": (lambda rows: rows, {"experiment_id": "20241216_143052_other_a1b2c3d4"}, "not in"),
    "an id that leads elsewhere": (lambda rows: [], {"experiment_id": "../x"}, "not in|impossible id"),
    "a damaged record": (lambda rows: rows, {"record": {"experiment_id": 3}}, "is damaged"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_wrong_manifest_is_refused(registry, base, tmp_path, change):
    """Sizes, checksums and the list of files must be those of the files."""
    how, fields, problem = CHANGES[change]
    files, rows, _ = honest()
    path = write(tmp_path / "x.zip", [(f"{ID}/{n}", c) for n, c in files.items()], how(rows), **fields)
    with pytest.raises(errors.BundleError, match=problem):
        import_bundle(registry, path)
    assert_untouched(base)


@pytest.mark.parametrize(
    "bad_id", [".runbook", "experiment_registry.json", ".trash", "a\x1b[2J", "", "20241216_143052_x\n_a1b2c3d4"]
)
def test_an_id_that_is_none_is_refused(registry, base, tmp_path, bad_id):
    """The id is checked before it becomes a path."""
    files, rows, _ = honest()
    path = write(tmp_path / "x.zip", [(f"{bad_id}/{n}", c) for n, c in files.items()], rows, experiment_id=bad_id)
    with pytest.raises(errors.BundleError):
        import_bundle(registry, path)
    assert_untouched(base)


def test_impossible_times_do_no_harm(registry, base, tmp_path):
    """A file from the future gets the present time; one from before 1970 gets the start of 1970."""
    files, rows, _ = honest()
    rows = [{**rows[0], "modified_ns": 10**30}, {**rows[1], "modified_ns": -(10**30)}]
    path = write(tmp_path / "x.zip", [(f"{ID}/{n}", c) for n, c in files.items()], rows)
    assert import_bundle(registry, path) == ID
    assert (base / ID / "config.json").stat().st_mtime == 0
    assert ExperimentManager(base).list_experiments()[0]["status"] == "completed"


def test_a_newer_bundle_is_refused_by_its_version(registry, base, tmp_path):
    """The message says to upgrade."""
    files, rows, _ = honest()
    path = write(tmp_path / "x.zip", [(f"{ID}/{n}", c) for n, c in files.items()], rows, format_version=99)
    with pytest.raises(errors.NewerFormatError, match="upgrade runbook") as caught:
        import_bundle(registry, path)
    assert caught.value.path == str(path)
    assert_untouched(base)


@pytest.mark.parametrize("where", ["manifest", "folder", "both"])
def test_a_newer_record_in_a_bundle_is_refused_where_it_cannot_be_understood(registry, base, tmp_path, where):
    """Record and manifest have versions of their own; the message names the bundle and says to upgrade."""
    newer = {**RECORD, "format_version": 99, "status": {"now": "completed"}}
    files, _, _ = honest()
    if where != "manifest":
        files["experiment.json"] = json.dumps(newer).encode()
    rows = [row(name, content) for name, content in files.items()]
    record = RECORD if where == "folder" else newer
    path = write(tmp_path / "x.zip", [(f"{ID}/{n}", c) for n, c in files.items()], rows, record=record)
    with pytest.raises(errors.NewerFormatError, match="upgrade runbook") as caught:
        import_bundle(registry, path)
    assert (caught.value.path, caught.value.version) == (str(path), 99)
    assert_untouched(base)


def test_a_newer_record_in_a_bundle_that_can_be_understood_is_imported_as_it_is(registry, base, tmp_path):
    """It is shown, and its file is never rewritten."""
    content = json.dumps({**RECORD, "format_version": 99, "mood": "good"}).encode()
    files = {"experiment.json": content, "config.json": CONFIG}
    rows = [row(name, content) for name, content in files.items()]
    path = write(tmp_path / "x.zip", [(f"{ID}/{n}", c) for n, c in files.items()], rows)
    assert import_bundle(registry, path) == ID
    assert (base / ID / "experiment.json").read_bytes() == content
    assert ExperimentManager(base).list_experiments()[0]["status"] == "completed"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"not json", "is not JSON"),
        (b"[]", "where an object was expected"),
        (b'{"experiment_id": 1}', "required field missing|expected str"),
        (b"[" * 100_000, "is not JSON"),
    ],
)
def test_a_record_that_cannot_be_understood_is_refused(registry, base, tmp_path, content, problem):
    """An experiment without a readable record is not imported."""
    path = write(tmp_path / "x.zip", [(f"{ID}/experiment.json", content)], [row("experiment.json", content)])
    with pytest.raises(errors.BundleError, match=problem) as caught:
        import_bundle(registry, path)
    assert caught.value.member == "experiment.json"
    assert_untouched(base)


def test_a_bundle_without_an_experiment_is_refused(registry, base, tmp_path):
    """Any zip file with a manifest is no experiment yet."""
    path = write(tmp_path / "x.zip", [(f"{ID}/notes.txt", b"x")], [row("notes.txt", b"x")])
    with pytest.raises(errors.BundleError, match="neither experiment.json nor config.json"):
        import_bundle(registry, path)
    assert_untouched(base)


@pytest.mark.parametrize("content", [b"", b"PK", b"hello", b"PK\x05\x06" + bytes(18), bytes(100_000)], ids=range(5))
def test_what_is_no_bundle_is_refused(registry, base, tmp_path, content):
    """The message names the file."""
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(errors.BundleError, match="x.zip"):
        import_bundle(registry, tmp_path / "x.zip")
    assert_untouched(base)


def test_another_zip_file_is_refused(registry, base, tmp_path):
    """A bundle is what export_experiment makes."""
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(f"{ID}/config.json", CONFIG)
    with pytest.raises(errors.BundleError, match="not made by export_experiment"):
        import_bundle(registry, tmp_path / "x.zip")
    assert_untouched(base)


# Bombs, and a wrong structure of the zip file


def test_a_bomb_is_refused_while_it_is_read(registry, base, tmp_path):
    """A few kilobytes that unpack to a hundred megabytes stop after the first few."""
    bomb = bytes(100_000_000)
    path = hostile_at(tmp_path / "x.zip", "results/bomb", bomb)
    assert path.stat().st_size < 200_000
    with pytest.raises(errors.BundleError, match="as a bomb does") as caught:
        import_bundle(registry, path)
    assert caught.value.member == f"{ID}/results/bomb"
    assert_untouched(base)


def hostile_at(path, name, content):
    files, rows, _ = honest()
    members = [*((f"{ID}/{n}", c) for n, c in files.items()), (f"{ID}/{name}", content)]
    return write(path, members, [*rows, row(name, content)])


def test_an_export_is_never_taken_for_a_bomb(registry, base, view, tmp_path):
    """Zeros, which would shrink a thousand times, are stored as they are."""
    (view.checkpoints_dir / "zeros.bin").write_bytes(bytes(20_000_000))
    (view.checkpoints_dir / "small_zeros.bin").write_bytes(bytes(3_000_000))
    assert import_bundle(registry, export_zip(view, tmp_path / "x.zip")) == view.id
    assert (base / view.id / "checkpoints" / "zeros.bin").stat().st_size == 20_000_000


@pytest.mark.parametrize(
    ("limits", "problem"),
    [
        (Limits(files=1), "holds 3 files, more than 1|holds 2 files, more than 1"),
        (Limits(total_bytes=100), "bytes, more than 100"),
    ],
)
def test_too_much_is_refused(registry, base, tmp_path, limits, problem):
    """How many files, and how many bytes together."""
    files, rows, _ = honest()
    path = write(tmp_path / "x.zip", [(f"{ID}/{n}", c) for n, c in files.items()], rows)
    with pytest.raises(errors.BundleError, match=problem):
        import_bundle(registry, path, limits=limits)
    assert_untouched(base)


needs_mounts = pytest.mark.skipif(
    shutil.which("unshare") is None
    or subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True).returncode != 0,
    reason="this user may not mount anything here",
)


@needs_mounts
def test_more_than_the_disk_can_take_is_refused_before_it_is_full(bundle, view, tmp_path):
    """The message says how much there is and how much is left; with room, the same bundle is imported."""
    (view.checkpoints_dir / "large.bin").write_bytes(os.urandom(500_000))
    path = export_zip(view, tmp_path / "large.zip")
    (tmp_path / "disk").mkdir()
    run = f'mount -t tmpfs -o size=$1 none {tmp_path}/disk && exec {sys.executable} -c "$2" {tmp_path}/disk/e {path} error'
    for size, found in (("300k", None), ("3m", view.id)):
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", run, "sh", size, IMPORT], input="go\n", capture_output=True, text=True
        )
        if found is None:
            assert "the disk has" in done.stderr and "make room" in done.stderr
        else:
            assert found in done.stdout


def find_all(raw, needle):
    at = raw.find(needle)
    while at >= 0:
        yield at
        at = raw.find(needle, at + 1)


def falsify(path, what):
    """Change the structure of an honest bundle."""
    files, rows, _ = honest()
    write(path, [(f"{ID}/{n}", c) for n, c in files.items()], rows)
    raw = bytearray(path.read_bytes())
    central = next(find_all(raw, b"PK\x01\x02"))
    if what == "local name":
        raw[30 : 30 + 4] = b"evil"
    elif what == "overlap":
        second = list(find_all(raw, b"PK\x01\x02"))[1]
        raw[second + 42 : second + 46] = raw[central + 42 : central + 46]
    elif what == "encrypted":
        raw[central + 8] |= 1
    elif what == "method":
        raw[central + 10] = 99
    elif what == "local method":
        raw[8] = 0
    elif what == "crc":
        raw[central + 16] ^= 0xFF
    elif what == "compressed size":
        raw[central + 20] ^= 1
    elif what == "hidden data in front":
        raw = bytearray(b"#!/bin/sh\n") + raw
    elif what == "hidden data between":
        end = raw.find(b"PK\x01\x02")
        raw = raw[:end] + b"hidden" + raw[end:]
        eocd = raw.rfind(b"PK\x05\x06")
        raw[eocd + 16 : eocd + 20] = struct.pack("<I", end + 6)
    elif what == "cut":
        raw = raw[: len(raw) // 2]
    elif what == "offset beyond":
        raw[central + 42 : central + 46] = b"\xfe\xff\xff\xff"
    elif what == "content":
        raw[raw.find(b"PK\x03\x04") + 30 + len(f"{ID}/experiment.json") + 20] ^= 0x55
    path.write_bytes(bytes(raw))
    return path


@pytest.mark.parametrize(
    "what",
    [
        "local name",
        "overlap",
        "encrypted",
        "method",
        "local method",
        "crc",
        "compressed size",
        "hidden data in front",
        "hidden data between",
        "cut",
        "offset beyond",
        "content",
    ],
)
def test_a_wrong_structure_is_refused(registry, base, tmp_path, what):
    """No data may be hidden or overlap, and each file must match its local header."""
    with pytest.raises(errors.BundleError):
        import_bundle(registry, falsify(tmp_path / "x.zip", what))
    assert_untouched(base)


@pytest.mark.slow
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data())
def test_a_bundle_with_any_bytes_changed_is_refused_or_the_same(tmp_path_factory, data):
    """No damaged bundle is accepted: an accepted one is byte for byte what was bundled."""
    tmp = tmp_path_factory.mktemp("fuzz")
    files, rows, _ = honest()
    raw = bytearray(write(tmp / "x.zip", [(f"{ID}/{n}", c) for n, c in files.items()], rows).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at] = data.draw(st.integers(0, 255))
    (tmp / "x.zip").write_bytes(bytes(raw))
    registry = JsonRegistry(BaseLayout(tmp / "base"), str(tmp / "base"))
    try:
        found = import_bundle(registry, tmp / "x.zip")
    except (errors.BundleError, errors.NewerFormatError):
        assert_untouched(tmp / "base")
    else:
        there = files_in(tmp / "base" / found)
        assert (found, there) == (ID, files)


def test_a_pickle_in_a_bundle_is_never_loaded(registry, base, tmp_path):
    """It is imported as bytes."""
    evil = b"cos\nsystem\n(S'touch " + str(tmp_path / "owned").encode() + b"'\ntR."
    path = hostile_at(tmp_path / "x.zip", "results/test_predictions.pkl", evil)
    assert import_bundle(registry, path) == ID
    ExperimentManager(base).print_experiment_summary()
    assert not (tmp_path / "owned").exists()
    assert (base / ID / "results" / "test_predictions.pkl").read_bytes() == evil


# Several at once, and killed ones


IMPORT = """
import sys
from pathlib import Path
from runbook import errors
from runbook.transfer.import_ import import_bundle
from runbook.record.layout import BaseLayout
from runbook.index.registry import JsonRegistry
base, path, how = sys.argv[1:]
registry = JsonRegistry(BaseLayout(Path(base)), base)
print("ready", flush=True)
sys.stdin.readline()
try:
    print(import_bundle(registry, Path(path), how))
except errors.ExperimentExistsError as error:
    print("exists")
"""


def importers(base, paths, how):
    """The outcomes of as many processes, which all begin at once."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", IMPORT, str(base), str(path), how],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for path in paths
    ]
    for process in started:
        assert process.stdout.readline() == "ready\n"
    for process in started:
        process.stdin.write("go\n")
        process.stdin.flush()
    results = [process.communicate(timeout=60) for process in started]
    assert [process.returncode for process in started] == [0] * len(started), results
    return sorted(out.strip() for out, _ in results)


@pytest.mark.slow
def test_of_two_imports_of_one_bundle_at_once_one_adds_it_and_the_other_finds_it(base, bundle, view):
    """It is there once, whole."""
    assert importers(base, [bundle] * 4, "rename") == [view.id, "None", "None", "None"]
    assert set(listed(base)) == {view.id}
    assert files_in(base / view.id) == files_in(view.path)
    assert orphans(base) == []


@pytest.mark.slow
def test_of_different_experiments_with_one_id_each_is_imported_once(base, tmp_path):
    """Every loser of the race gets an id of its own."""
    paths = []
    for n in range(4):
        content = json.dumps({**RECORD, "notes": str(n)}).encode()
        paths.append(
            write(tmp_path / f"{n}.zip", [(f"{ID}/experiment.json", content)], [row("experiment.json", content)])
        )
    found = importers(base, paths, "rename")
    assert len(set(found)) == 4 and ID in found
    assert {entry["notes"] for entry in listed(base).values()} == {"0", "1", "2", "3"}
    assert importers(base, paths, "error") == ["None"] * 4


def calls(command, name):
    """How often a program makes a system call."""
    log = subprocess.run(
        ["strace", "-f", "-qq", "-e", f"trace={name}", "-o", "/dev/stdout", *command],
        capture_output=True,
        text=True,
        input="go\n",
    ).stdout
    return sum(f"{name}(" in line for line in log.splitlines())


needs_strace = pytest.mark.skipif(
    shutil.which("strace") is None
    or subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True).returncode != 0,
    reason="strace is not installed, or may not trace here",
)


@pytest.mark.slow
@needs_strace
def test_an_import_that_is_killed_at_any_rename_is_whole_or_not_there(base, bundle, view, tmp_path):
    """The next import works at once, and removes the orphans."""
    expected = files_in(view.path)

    def command(where):
        return [sys.executable, "-c", IMPORT, str(where), str(bundle), "error"]

    times = calls(command(tmp_path / "count"), "rename")
    assert times >= len(expected)
    outcomes = set()
    for when in sorted({1, 2, times - 4, times - 3, times - 2, times - 1, times}):
        shutil.rmtree(base, ignore_errors=True)
        inject = f"inject=rename:signal=SIGKILL:when={when}"
        killed = subprocess.run(
            ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=rename", "-e", inject, *command(base)],
            capture_output=True,
            text=True,
            input="go\n",
        )
        assert killed.returncode in {-signal.SIGKILL, 128 + signal.SIGKILL}
        there = listed(base)
        assert set(there) <= {view.id}
        outcomes.add(len(there))
        if there:
            assert files_in(base / view.id) == expected and there[view.id]["status"] == "completed"
        again = import_bundle(JsonRegistry(BaseLayout(base), str(base)), bundle)
        assert again == (None if there else view.id)
        assert files_in(base / view.id) == expected and orphans(base) == []
    assert outcomes == {0, 1}


@pytest.mark.slow
@needs_strace
@pytest.mark.parametrize(
    ("call", "errno"), [("fsync", "EIO"), ("rename", "ENOSPC"), ("mkdir", "EDQUOT"), ("write", "ENOSPC")]
)
def test_an_import_that_fails_on_the_disk_leaves_nothing(base, bundle, tmp_path, call, errno):
    """At each of the calls in turn: an error, and no experiment that is not whole."""
    command = [sys.executable, "-c", IMPORT, str(base), str(bundle), "error"]
    JsonRegistry(BaseLayout(base), str(base))
    ExperimentManager(base)
    ends = set()
    for when in (2, 5, 9):
        failed = subprocess.run(
            [
                "strace",
                "-f",
                "-qq",
                "-o",
                "/dev/null",
                "-e",
                f"trace={call}",
                "-e",
                f"inject={call}:error={errno}:when={when}",
                *command,
            ],
            capture_output=True,
            text=True,
            input="go\n",
        )
        there = listed(base)
        assert orphans(base) == []
        ends.add(failed.returncode)
        if failed.returncode != 0:
            assert "Error" in failed.stderr and os.strerror(getattr(ERRNO, errno)) in failed.stderr
        for experiment_id in there:
            assert ExperimentManager(base).get_experiment(experiment_id).load_metrics() == {"f1": 0.9}
        shutil.rmtree(base)
        ExperimentManager(base)
    assert 1 in ends
