"""One experiment in one zip file."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import sys
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook import errors
from runbook.read.view import layout_of
from runbook.record.layout import MANIFEST_FILE
from runbook.transfer import bundle
from runbook.transfer.bundle import Names, export_zip


@pytest.fixture
def ended(manager):
    """An experiment that has ended, with files in it."""
    with manager.experiment({"lr": 0.1}, name="baseline") as exp:
        exp.log(loss=0.5)
        exp.save_final_metrics({"f1": 0.9})
        (exp.checkpoints_dir / "best_model").mkdir()
        (exp.checkpoints_dir / "best_model" / "weights.bin").write_bytes(os.urandom(50_000))
    return manager.get_experiment(exp.id)


def files_in(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def manifest_of(path):
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read(MANIFEST_FILE))


def test_the_bundle_holds_every_file_under_the_id_and_a_manifest(ended, tmp_path):
    """`<id>/…`, byte for byte, and the size and the checksum of each."""
    path = export_zip(ended, tmp_path / "shared" / "x.zip")
    expected = files_in(ended.path)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert {name: archive.read(f"{ended.id}/{name}") for name in expected} == expected
    assert sorted(names) == sorted([*(f"{ended.id}/{name}" for name in expected), MANIFEST_FILE])
    assert names[0] == f"{ended.id}/experiment.json" and names[-1] == MANIFEST_FILE
    manifest = manifest_of(path)
    assert (manifest["format_version"], manifest["experiment_id"]) == (1, ended.id)
    assert manifest["record"]["status"] == "completed"
    assert {row["path"]: (row["size"], row["sha256"]) for row in manifest["files"]} == {
        name: (len(content), hashlib.sha256(content).hexdigest()) for name, content in expected.items()
    }


def test_the_same_folder_gives_the_same_bytes(ended, tmp_path):
    """Two bundles of one experiment can be compared by their checksum."""
    one, two = export_zip(ended, tmp_path / "one.zip"), export_zip(ended, tmp_path / "two.zip")
    assert one.read_bytes() == two.read_bytes()


def test_other_programs_can_read_it(ended, tmp_path):
    """It is a zip file like any other: the standard library's own command extracts it."""
    path = export_zip(ended, tmp_path / "x.zip")
    subprocess.run([sys.executable, "-m", "zipfile", "-e", str(path), str(tmp_path / "out")], check=True)
    assert files_in(tmp_path / "out" / ended.id) == files_in(ended.path)


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_is_there_is_not_overwritten(ended, tmp_path, kind):
    """An export never replaces anything."""
    path = tmp_path / "x.zip"
    {"file": path.touch, "folder": path.mkdir, "link": lambda: path.symlink_to("nowhere")}[kind]()
    with pytest.raises(errors.TargetExistsError, match="x.zip exists already"):
        export_zip(ended, path)
    assert len(list(tmp_path.iterdir())) == 2 and os.path.lexists(path)


def test_a_running_experiment_is_bundled_as_far_as_it_has_come(manager, tmp_path, caplog):
    """It is allowed; the manifest and a warning show that it was running."""
    with manager.experiment({}, name="live") as exp:
        exp.log(loss=1.0)
        path = export_zip(manager.get_experiment(exp.id), tmp_path / "x.zip")
        assert exp.status == "running"
    assert manifest_of(path)["record"]["status"] == "running"
    assert "is running" in caplog.text
    with zipfile.ZipFile(path) as archive:
        assert json.loads(archive.read(f"{exp.id}/metrics/history.jsonl"))["loss"] == 1.0


def test_temporaries_of_a_write_under_way_are_left_out(ended, tmp_path):
    """What a killed process left half-written is no part of the experiment."""
    (ended.metrics_dir / ".final_summary.json.4711.tmp").write_bytes(b"half")
    (ended.metrics_dir / ".hidden").write_bytes(b"a user's own")
    names = zipfile.ZipFile(export_zip(ended, tmp_path / "x.zip")).namelist()
    assert f"{ended.id}/metrics/.hidden" in names
    assert not [name for name in names if name.endswith(".tmp")]


def test_links_inside_are_stored_as_what_they_point_to(ended, tmp_path, caplog):
    """A bundle holds regular files only; `latest -> best_model` becomes a folder of its own."""
    (ended.checkpoints_dir / "latest").symlink_to("best_model")
    (ended.results_dir / "model.bin").symlink_to(ended.checkpoints_dir / "best_model" / "weights.bin")
    path = export_zip(ended, tmp_path / "x.zip")
    weights = (ended.checkpoints_dir / "best_model" / "weights.bin").read_bytes()
    with zipfile.ZipFile(path) as archive:
        assert archive.read(f"{ended.id}/checkpoints/latest/weights.bin") == weights
        assert archive.read(f"{ended.id}/results/model.bin") == weights
        assert {stat.S_IFMT(info.external_attr >> 16) for info in archive.infolist()} == {stat.S_IFREG}
    assert "left out" not in caplog.text


def test_links_that_leave_the_folder_are_left_out_and_named(ended, tmp_path, caplog):
    """Files outside of the folder are not in the bundle; neither are loops, devices and links to nothing."""
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    (ended.results_dir / "stolen").symlink_to(secret)
    (ended.results_dir / "up").symlink_to("..")
    (ended.results_dir / "loop").symlink_to("loop")
    (ended.results_dir / "nothing").symlink_to("gone")
    os.mkfifo(ended.results_dir / "pipe")
    path = export_zip(ended, tmp_path / "x.zip")
    assert b"secret" not in path.read_bytes()
    assert not [name for name in zipfile.ZipFile(path).namelist() if "/results/" in name]
    for name in ("stolen", "up", "loop", "nothing", "pipe"):
        assert f"'results/{name}'" in caplog.text


def test_folders_that_link_to_each_other_do_not_multiply(ended, tmp_path):
    """Twenty folders, each with two links to the next, are no million files."""
    for n in range(20):
        (ended.results_dir / f"d{n}").mkdir()
        for side in "ab":
            (ended.results_dir / f"d{n}" / side).symlink_to(f"../d{n + 1}")
    (ended.results_dir / "d20").mkdir()
    (ended.results_dir / "d20" / "x").write_text("x")
    assert len(bundle.members(ended.path)) < 200


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("10:30:00.txt", "not every system"),
        ("a\\b", "not every system"),
        ("line\nbreak", "not every system"),
        ("gpj\u202egnp.exe", "not every system"),
        ("ends.", "ends with a dot"),
        ("ends ", "starts or ends with a space"),
        ("NUL.txt", "a device on Windows"),
        ("com1", "a device on Windows"),
    ],
)
def test_a_name_that_not_every_system_can_hold_is_refused(ended, tmp_path, name, problem):
    """Nothing is lost in silence: the file is named, and no bundle is made."""
    (ended.results_dir / name).write_text("x")
    with pytest.raises(errors.BundleError, match=problem) as caught:
        export_zip(ended, tmp_path / "x.zip")
    assert caught.value.member == f"results/{name}" and "export to a folder" in str(caught.value)
    assert not (tmp_path / "x.zip").exists()


def test_names_that_differ_only_by_case_are_refused(ended, tmp_path):
    """On another system, one would overwrite the other."""
    for name in ("Best.bin", "best.bin"):
        (ended.results_dir / name).write_text(name)
    if len(list(ended.results_dir.iterdir())) == 1:
        pytest.skip("this disk does not tell names by case")
    with pytest.raises(errors.BundleError, match="differs only by case"):
        export_zip(ended, tmp_path / "x.zip")


def test_what_shrinks_is_deflated_and_what_does_not_is_stored(ended, tmp_path):
    """Text is deflated, weights are stored; and what would look like a bomb is stored, too."""
    (ended.results_dir / "text.csv").write_text("".join(f"{n},{n * n}\n" for n in range(20_000)))
    (ended.results_dir / "zeros.bin").write_bytes(bytes(3_000_000))
    with zipfile.ZipFile(export_zip(ended, tmp_path / "x.zip")) as archive:
        method = {info.filename.rpartition("/")[2]: info.compress_type for info in archive.infolist()}
    assert method["text.csv"] == zipfile.ZIP_DEFLATED
    assert method["weights.bin"] == method["zeros.bin"] == zipfile.ZIP_STORED


def test_a_large_file_is_streamed(ended, tmp_path, monkeypatch):
    """A checkpoint is never held whole in memory."""
    import tracemalloc

    size = 64 * 1024 * 1024
    with (ended.checkpoints_dir / "large.bin").open("wb") as file:
        file.truncate(size)
    tracemalloc.start()
    path = export_zip(ended, tmp_path / "x.zip")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < size / 2
    assert next(row["size"] for row in manifest_of(path)["files"] if row["path"].endswith("large.bin")) == size


def test_an_export_that_fails_leaves_nothing(ended, tmp_path):
    """A full disk in the middle: no half bundle, no temporary."""
    code = """
import resource, signal, sys
from pathlib import Path
from runbook import ExperimentManager
from runbook.transfer.bundle import export_zip
view = ExperimentManager(sys.argv[1]).get_experiment("baseline")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    export_zip(view, Path(sys.argv[2]))
except OSError as error:
    print("said:", error.strerror)
"""
    target = tmp_path / "out" / "x.zip"
    done = subprocess.run(
        [sys.executable, "-c", code, str(ended.path.parent), str(target)], capture_output=True, text=True, check=True
    )
    assert "said: File too large" in done.stdout
    assert list(target.parent.iterdir()) == []


def test_an_experiment_of_the_seeds_tool_keeps_its_line(base, tmp_path):
    """It has no record; the fields of its entry are in the manifest."""
    from runbook import ExperimentManager

    legacy_id = "20241216_143052_baseline_a1b2c3d4"
    (base / legacy_id).mkdir(parents=True)
    (base / legacy_id / "config.json").write_text('{"lr": 0.1}')
    entry = {"experiment_id": legacy_id, "timestamp": "2024-12-16T14:30:52", "status": "completed", "notes": "good"}
    (base / "experiment_registry.json").write_text(json.dumps({"experiments": [entry]}, indent=2))
    path = export_zip(ExperimentManager(base).get_experiment(legacy_id), tmp_path / "x.zip")
    record = manifest_of(path)["record"]
    assert (record["status"], record["notes"]) == ("completed", "good")


@pytest.mark.parametrize(
    "name",
    [
        "a",
        "a b",
        "epoch=3-val_loss=0.21.ckpt",
        "weights[1].npy",
        "für Elise.txt",
        "实验.json",
        ".hidden",
        "a+b@c,d",
        "COM",
        "nul1",
        "x" * 255,
    ],
)
def test_usual_names_are_allowed(name):
    """What frameworks and people call their files."""
    assert bundle.problem_with_part(name) is None


@given(st.text())
def test_an_allowed_name_is_one_plain_name_everywhere(name):
    """An allowed name leads to no other path, is shown as it is, and survives a round trip through a zip file."""
    if bundle.problem_with_part(name) is None:
        assert name not in {"", ".", ".."} and not set(name) & set('/\\:<>"|?*\0')
        assert name.isprintable() and name == name.strip(" ") and not name.endswith(".")
        assert zipfile.ZipInfo(name).filename == name
        name.encode()


@given(st.lists(st.lists(st.sampled_from(["a", "A", "b", "é", "e\u0301"]), min_size=1, max_size=3), max_size=6))
def test_names_that_pass_together_can_lie_in_one_folder_of_any_system(paths):
    """No two are the same when case and accents do not count, and none is both file and folder."""
    import unicodedata

    names = Names()
    passed = ["/".join(parts) for parts in paths if names.problem_with("/".join(parts)) is None]
    folded = [unicodedata.normalize("NFC", name).casefold() for name in passed]
    assert len(set(folded)) == len(folded)
    assert not [(a, b) for a in folded for b in folded if b.startswith(a + "/")]


@pytest.mark.parametrize("is_running", [True, False])
def test_a_file_that_goes_while_it_is_bundled_is_missed_only_after_the_end(manager, is_running):
    """A running experiment removes old checkpoints; anything else that loses a file is not whole."""
    block = manager.experiment({}, name="x")
    with block as exp:
        layout = layout_of(manager.get_experiment(exp.id))
        if is_running:
            with bundle.unless_removed(layout), (layout.root / "gone").open("rb"):
                pytest.fail("there is no such file")
            assert exp.status == "running"
    if not is_running:
        with pytest.raises(FileNotFoundError), bundle.unless_removed(layout), (layout.root / "gone").open("rb"):
            pass


def test_an_experiment_that_is_taken_away_while_it_is_bundled_is_an_error(manager, tmp_path):
    """A bundle of half of it would look whole."""
    with manager.experiment({}, name="x") as exp:
        layout = layout_of(manager.get_experiment(exp.id))
        found = bundle.members(layout.root)
        exp.path.rename(tmp_path / "elsewhere")
        with pytest.raises(FileNotFoundError), bundle.unless_removed(layout), found[0].path.open("rb"):
            pass
        (tmp_path / "elsewhere").rename(exp.path)
