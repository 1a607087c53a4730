"""The union of base directories."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbook import ExperimentManager, errors
from runbook.index.registry import JsonRegistry
from runbook.maintain import trash
from runbook.record.layout import BaseLayout
from runbook.storage import current_record
from runbook.transfer.merge import MergeReport, merge

SEED_ID = "20241216_143052_my model_a1b2c3d4"
ID = "20241216_143052_baseline_a1b2c3d4"


def registry_at(base):
    return JsonRegistry(BaseLayout(base), str(base))


@pytest.fixture
def here(tmp_path):
    """A base directory that does not exist yet, which is to have them all."""
    return tmp_path / "here"


@pytest.fixture
def there(tmp_path):
    """Another one."""
    return tmp_path / "there"


def make(base, name="x", **metrics):
    with ExperimentManager(base).experiment({"name": name}, name=name) as exp:
        exp.log(loss=1.0)
        exp.save_final_metrics(metrics)
        (exp.checkpoints_dir / "weights.bin").write_bytes(os.urandom(500))
    return exp.id


def owner(pid=1, host="elsewhere"):
    return {"host": host, "pid": pid, "boot_id": "another"}


def attempt(start="2024-12-16T14:30:52+00:00", end=None, evidence=None, **who):
    reason = None if end is None else "vanished" if evidence else "returned"
    return {"started_at": start, "owner": owner(**who), "ended_at": end, "end_reason": reason, "evidence": evidence}


def write(base, experiment_id=ID, *, files=None, mtime=1_700_000_000, **fields):
    """An experiment with just this record and these files."""
    folder = base / experiment_id
    folder.mkdir(parents=True)
    record = {"format_version": 1, "experiment_id": experiment_id, "timestamp": "2024-12-16T14:30:52+00:00"}
    record |= {"status": "completed", "config": {"lr": 0.1}, "config_hash": "a1b2c3d4", **fields}
    contents = {"experiment.json": json.dumps(record), "config.json": '{"lr": 0.1}', **(files or {})}
    for name, content in contents.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content)
        os.utime(folder / name, (mtime, mtime))
    return folder


def seed(base, experiment_id=SEED_ID, *, has_folder=True, config='{"lr": 0.1}', **fields):
    """An experiment of the legacy tool, added to its registry."""
    base.mkdir(parents=True, exist_ok=True)
    if has_folder:
        (base / experiment_id).mkdir()
        (base / experiment_id / "config.json").write_text(config)
    path = base / "experiment_registry.json"
    entries = json.loads(path.read_text())["experiments"] if path.exists() else []
    line = {
        "experiment_id": experiment_id,
        "timestamp": "2024-12-16T14:30:52",
        "status": "completed",
        "config": {"lr": 0.1},
    }
    path.write_text(json.dumps({"experiments": [*entries, {**line, **fields}]}, indent=2))


def files_in(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def listed(base):
    return {entry["experiment_id"]: entry for entry in ExperimentManager(base).list_experiments()}


def contents(base):
    """Every experiment as its files and its record without the id: what a union is a union of."""
    found = []
    for one in listed(base):
        files = files_in(base / one)
        has_record = files.pop("experiment.json", None) is not None
        record = (
            attrs.evolve(current_record.read_current(BaseLayout(base), one), experiment_id="") if has_record else None
        )
        found.append((repr(record), tuple(sorted(files.items()))))
    return sorted(found)


def test_every_experiment_comes_in_whole(here, there):
    """Files byte for byte and with their times, lines in the registry; the other base directory stays as it is."""
    mine, one, two = make(here, "mine"), make(there, "one", f1=0.5), make(there, "two")
    before = files_in(there)
    report = merge(registry_at(here), there)
    assert report == MergeReport(added=(one, two))
    assert set(listed(here)) == {mine, one, two} and listed(here)[one]["metrics"]["f1"] == 0.5
    for name in (one, two):
        assert files_in(here / name) == files_in(there / name)
        assert (here / name / "config.json").stat().st_mtime_ns == (there / name / "config.json").stat().st_mtime_ns
    assert files_in(there) == before
    assert list((here / ".runbook" / "incoming").iterdir()) == []
    assert list((here / ".runbook" / "experiment_registry.json.pending").iterdir()) == []


def test_a_second_merge_adds_nothing(here, there):
    """All are there, the same."""
    one = make(there, "one")
    merge(registry_at(here), there)
    before = files_in(here)
    assert merge(registry_at(here), there) == MergeReport(skipped=(one,))
    assert {k: v for k, v in files_in(here).items() if ".runbook" not in k} == {
        k: v for k, v in before.items() if ".runbook" not in k
    }


def test_the_other_registry_may_have_its_usual_name(there, tmp_path):
    """The name of the index here says nothing of the one there."""
    one = make(there, "one")
    registry = JsonRegistry(BaseLayout(tmp_path / "here", "index.json"), str(tmp_path / "here"))
    assert merge(registry, there).added == (one,)
    assert (tmp_path / "here" / "index.json").exists()


@pytest.mark.parametrize("kind", ["missing", "file", "itself", "itself by a link"])
def test_what_cannot_be_merged_is_said(here, tmp_path, kind):
    """A base directory that is not there, or is this one."""
    make(here)
    other = tmp_path / "other"
    if kind == "file":
        other.touch()
    elif kind == "itself":
        other = here
    elif kind == "itself by a link":
        other.symlink_to(here)
    with pytest.raises(errors.BaseDirectoryError, match="with itself" if "itself" in kind else "is not there"):
        merge(registry_at(here), other)


def test_a_base_directory_that_cannot_be_written_to_can_be_merged_from(here, there):
    """It is only read."""
    one = make(there, "one")
    if os.geteuid() == 0 and shutil.which("setpriv"):
        prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    elif os.geteuid() == 0:
        pytest.skip("root may write anywhere, and there is no setpriv to be somebody else")
    else:
        prefix = []
    for folder, _, _ in os.walk(there):
        os.chmod(folder, 0o555)
    here.mkdir()
    os.chmod(here, 0o777)
    for parent in here.parents:
        if parent != Path("/tmp") and parent.is_relative_to(tempfile.gettempdir()):
            os.chmod(parent, 0o755)
    can_run = subprocess.run(
        [*prefix, sys.executable, "-c", "import runbook.transfer.merge, cattrs"], capture_output=True
    )
    if can_run.returncode != 0:
        pytest.skip("somebody else may not run this interpreter, or read this package")
    done = subprocess.run([*prefix, sys.executable, "-c", MERGE, str(here), str(there)], capture_output=True, text=True)
    assert done.stdout.strip() == f"1 {one}", done.stderr


# The same id, and something else


def test_a_different_experiment_of_the_same_id_gets_another(here, there):
    """Both are there; the record has the new id; a second merge adds nothing."""
    write(here, notes="mine")
    write(there, notes="theirs")
    new = "20241216_143052_baseline-2_a1b2c3d4"
    assert merge(registry_at(here), there) == MergeReport(renamed={ID: new})
    assert {one: entry["notes"] for one, entry in listed(here).items()} == {ID: "mine", new: "theirs"}
    assert json.loads((here / new / "experiment.json").read_text())["experiment_id"] == new
    assert merge(registry_at(here), there) == MergeReport(skipped=(ID,))


def test_merging_back_and_forth_makes_no_copies(here, there):
    """What was renamed on its way is recognised on its way back."""
    write(here, notes="mine")
    write(there, notes="theirs")
    merge(registry_at(here), there)
    merge(registry_at(there), here)
    for base, other in [(here, there), (there, here)] * 2:
        report = merge(registry_at(base), other)
        assert len(report.skipped) == 2 and not report.added and not report.renamed
    assert contents(here) == contents(there) and len(listed(here)) == 2


def test_one_that_was_changed_here_is_kept_beside_the_other(here, there):
    """Nobody can say which is right, so both are."""
    one = make(there, "one")
    merge(registry_at(here), there)
    (here / one / "results" / "analysis.txt").write_text("mine")
    (there / one / "results" / "analysis.txt").write_text("theirs")
    report = merge(registry_at(here), there)
    assert list(report.renamed) == [one]
    assert {path.read_text() for path in here.glob("2*/results/analysis.txt")} == {"mine", "theirs"}
    assert merge(registry_at(here), there).skipped == (one,)


START = "2024-12-16T14:30:52+00:00"
END = "2024-12-16T15:00:00+00:00"
EARLIER_AND_LATER = {
    "cut off, then ended": (
        {"status": "interrupted", "attempts": [attempt(end=END, evidence="gone")]},
        {"attempts": [attempt(end=END)]},
    ),
    "running, then ended": ({"status": "running", "attempts": [attempt()]}, {"attempts": [attempt(end=END)]}),
    "ended, then resumed": (
        {"status": "failed", "attempts": [attempt(end=END)]},
        {"attempts": [attempt(end=END), attempt(start=END, end="2024-12-16T16:00:00+00:00", pid=2)]},
    ),
    "running, and further on": (
        {"status": "running", "attempts": [attempt()], "mtime": 1_700_000_000},
        {"status": "running", "attempts": [attempt()], "mtime": 1_700_000_100},
    ),
    "cut off, and cut off later": (
        {"status": "interrupted", "attempts": [attempt(end=END, evidence="gone")], "mtime": 1_700_000_000},
        {"status": "running", "attempts": [attempt()], "mtime": 1_700_000_100},
    ),
}


@pytest.mark.parametrize("how", EARLIER_AND_LATER)
def test_a_later_state_takes_the_place_of_an_earlier_one(here, there, how):
    """The earlier one is in the trash, whole; a second merge adds nothing."""
    earlier, later = EARLIER_AND_LATER[how]
    write(here, files={"metrics/history.jsonl": "1\n", "checkpoints/old.pt": "old"}, **earlier)
    write(there, files={"metrics/history.jsonl": "1\n2\n"}, **later)
    before = files_in(here / ID)
    assert merge(registry_at(here), there) == MergeReport(updated=(ID,))
    assert set(listed(here)) == {ID} and files_in(here / ID) == files_in(there / ID)
    assert files_in(here / ".trash" / ID) == before
    assert merge(registry_at(here), there) == MergeReport(skipped=(ID,))


@pytest.mark.parametrize("how", EARLIER_AND_LATER)
def test_an_earlier_state_of_what_is_here_is_skipped(here, there, how):
    """What is here is further on."""
    earlier, later = EARLIER_AND_LATER[how]
    write(here, files={"metrics/history.jsonl": "1\n2\n"}, **later)
    write(there, files={"metrics/history.jsonl": "1\n"}, **earlier)
    before = files_in(here / ID)
    assert merge(registry_at(here), there) == MergeReport(skipped=(ID,))
    assert files_in(here / ID) == before and not (here / ".trash").exists()


@pytest.mark.parametrize(
    "other",
    [
        {"attempts": [attempt(end=END, pid=2)]},
        {"attempts": [attempt(end=END, host="another")]},
        {"attempts": [attempt(end=END)], "config": {"lr": 0.2}},
        {"attempts": [attempt(end=END)], "custom_name": "another"},
        {"attempts": []},
    ],
    ids=["another process", "another host", "another config", "another name", "no attempts"],
)
def test_another_experiment_never_takes_the_place_of_one(here, there, other):
    """Only a later state of the very same may, and that is told by its birth."""
    write(here, status="running", attempts=[attempt()])
    write(there, **other)
    before = files_in(here / ID)
    assert list(merge(registry_at(here), there).renamed) == [ID]
    assert files_in(here / ID) == before


def test_two_that_were_resumed_apart_are_both_kept(here, there):
    """Their attempts go different ways from the second on."""
    second = "2024-12-17T00:00:00+00:00"
    for base, pid in ((here, 2), (there, 3)):
        write(base, notes=str(pid), attempts=[attempt(end=END), attempt(start=second, end=second, pid=pid)])
    assert list(merge(registry_at(here), there).renamed) == [ID]
    assert {entry["notes"] for entry in listed(here).values()} == {"2", "3"}


# Running ones


def test_a_running_experiment_comes_in_running_and_later_as_it_ended(here, there):
    """A living experiment is never called dead; the next merge brings its end."""
    with ExperimentManager(there).experiment({}, name="live") as exp:
        exp.log(loss=1.0)
        assert merge(registry_at(here), there).added == (exp.id,)
        assert listed(here)[exp.id]["status"] == "running"
        assert merge(registry_at(here), there).skipped == (exp.id,)
        exp.log(loss=0.5)
        (exp.results_dir / "later").write_text("later")
        assert merge(registry_at(here), there).updated == (exp.id,)
    assert merge(registry_at(here), there).updated == (exp.id,)
    assert listed(here)[exp.id]["status"] == "completed" and len(listed(here)) == 1
    assert ExperimentManager(here).get_experiment(exp.id).history()["loss"] == [1.0, 0.5]
    assert merge(registry_at(here), there).skipped == (exp.id,)


def test_a_killed_experiment_comes_in_as_interrupted(here, there):
    """Its status is the one that is true there; a second merge adds nothing."""
    code = "import os, signal; from runbook import experiment; experiment({}, name='k').__enter__(); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "RUNBOOK_DIR": str(there)})
    (one,) = merge(registry_at(here), there).added
    record = json.loads((here / one / "experiment.json").read_text())
    assert (record["status"], record["end_reason"]) == ("interrupted", "vanished")
    assert merge(registry_at(here), there).skipped == (one,)


def test_an_experiment_that_runs_here_is_never_replaced(here, there):
    """Not even by what looks like its end."""
    with ExperimentManager(here).experiment({}, name="live") as exp:
        shutil.copytree(exp.path, there / exp.id)
        path = there / exp.id / "experiment.json"
        record = json.loads(path.read_text())
        record["attempts"][0] |= {"ended_at": END, "end_reason": "returned"}
        path.write_text(json.dumps({**record, "status": "completed"}))
        assert list(merge(registry_at(here), there).renamed) == [exp.id]
        exp.log(loss=1.0)
    assert listed(here)[exp.id]["status"] == "completed" and len(listed(here)) == 2


# The legacy tool


def test_an_old_registry_merges_with_every_field(here, there):
    """Of the legacy tool, the line is what there is; `directory` is where it is now."""
    seed(there, notes="good", extra={"a": 1})
    seed(there, "20241217_143052_gone_a1b2c3d4", has_folder=False, notes="only a line")
    assert len(merge(registry_at(here), there).added) == 2
    entries = listed(here)
    assert (entries[SEED_ID]["notes"], entries[SEED_ID]["extra"]) == ("good", {"a": 1})
    assert entries[SEED_ID]["directory"] == str(here / SEED_ID) and (here / SEED_ID / "config.json").exists()
    assert entries["20241217_143052_gone_a1b2c3d4"]["notes"] == "only a line"
    assert len(merge(registry_at(here), there).skipped) == 2 and len(listed(here)) == 2


@pytest.mark.parametrize("has_folder", [True, False])
def test_another_line_of_the_same_id_is_kept_beside_it(here, there, has_folder):
    """No field of either is lost."""
    seed(here, has_folder=has_folder, notes="mine")
    seed(there, has_folder=has_folder, notes="theirs", config='{"lr": 0.2}')
    (new,) = merge(registry_at(here), there).renamed.values()
    assert {one: entry["notes"] for one, entry in listed(here).items()} == {SEED_ID: "mine", new: "theirs"}
    assert (here / new).exists() == has_folder
    assert merge(registry_at(here), there).skipped == (SEED_ID,)


def test_an_old_experiment_that_has_ended_since_is_updated(here, there):
    """The legacy tool goes on writing into its own base directory; the next merge follows."""
    seed(there, status="running")
    merge(registry_at(here), there)
    (there / "experiment_registry.json").unlink()
    shutil.rmtree(there / SEED_ID)
    seed(there, status="completed", completed_at="2024-12-16T15:45:30")
    (there / SEED_ID / "results").mkdir()
    (there / SEED_ID / "results" / "x").write_text("x")
    assert merge(registry_at(here), there).updated == (SEED_ID,)
    assert listed(here)[SEED_ID]["completed_at"] == "2024-12-16T15:45:30"
    assert merge(registry_at(here), there).skipped == (SEED_ID,)


# Damage


def test_a_damaged_experiment_comes_in_as_it_is_and_is_named(here, there, caplog):
    """It hides no other, and nothing of it is lost."""
    one, two = make(there, "one"), make(there, "two")
    (there / one / "experiment.json").write_text("{broken")
    report = merge(registry_at(here), there)
    assert set(report.added) == {one, two} and list(report.damaged) == [one]
    assert "not JSON" in report.damaged[one] and one in caplog.text
    assert files_in(here / one) == files_in(there / one)
    assert listed(here)[one]["status"] == "unknown"
    assert set(merge(registry_at(here), there).skipped) == {one, two}


def test_an_id_that_is_none_is_named_and_left_out(here, there):
    """A registry from elsewhere may say anything."""
    seed(there, notes="good")
    path = there / "experiment_registry.json"
    bad = ["../evil", ".runbook", "experiment_registry.json", "a\x1b[2Jb", "20241216_143052_a\\b_a1b2c3d4"]
    entries = json.loads(path.read_text())["experiments"]
    path.write_text(json.dumps({"experiments": [*entries, *({"experiment_id": one, "status": "x"} for one in bad)]}))
    report = merge(registry_at(here), there)
    assert report.added == (SEED_ID,) and set(report.damaged) <= set(bad) and len(report.damaged) >= 3
    assert set(listed(here)) == {SEED_ID} and not (here.parent / "evil").exists()


def test_a_file_that_cannot_be_read_spoils_no_other(here, there, caplog):
    """The experiment is named, nothing of it comes in, and the next merge can bring it."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    one, two = make(there, "one"), make(there, "two")
    done = subprocess.run(
        ["strace", "-f", "-qq", "-o", "/dev/null", "-P", str(there / one / "checkpoints" / "weights.bin")]
        + ["-e", "inject=read:error=EIO", sys.executable, "-c", MERGE, str(here), str(there)],
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == f"1 {two}" and "Input/output error" in done.stderr
    assert set(listed(here)) == {two} and not (here / one).exists()
    assert merge(registry_at(here), there).added == (one,)


def test_a_full_disk_here_ends_the_merge(here, there):
    """Nothing more could come in; what has is whole, and the merge can be made again."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    for name in "abc":
        make(there, name)
    done = subprocess.run(
        ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync", "-e", "inject=fsync:error=ENOSPC:when=20"]
        + [sys.executable, "-c", MERGE, str(here), str(there)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and "No space left on device" in done.stderr
    for one in listed(here):
        assert files_in(here / one) == files_in(there / one)
    merge(registry_at(here), there)
    assert contents(here) == contents(there)


MERGE = """
import sys
from pathlib import Path
from runbook.record.layout import BaseLayout
from runbook.storage import current_record
from runbook.transfer.merge import merge
from runbook.index.registry import JsonRegistry
here, there = sys.argv[1:]
report = merge(JsonRegistry(BaseLayout(Path(here)), here), Path(there))
print(len(report.added), *report.added)
"""

needs_strace = pytest.mark.skipif(
    shutil.which("strace") is None
    or subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True).returncode != 0,
    reason="strace is not installed, or may not trace here",
)


@pytest.mark.slow
@needs_strace
def test_a_merge_that_is_killed_at_any_rename_ends_in_the_same_union(here, there, tmp_path):
    """Made again, it brings what is missing, and nothing twice: new ones, conflicts, later states, old lines."""

    def prepare(base):
        write(base, notes="mine")
        write(base, "20241216_143053_a1b2c3d4", status="running", attempts=[attempt()])

    write(there, notes="theirs")
    write(there, "20241216_143053_a1b2c3d4", attempts=[attempt(end=END)])
    seed(there, notes="good")
    prepare(tmp_path / "whole")
    merge(registry_at(tmp_path / "whole"), there)
    expected = contents(tmp_path / "whole")
    assert len(expected) == 4
    for when in itertools.count(1):
        shutil.rmtree(here, ignore_errors=True)
        prepare(here)
        done = subprocess.run(
            [
                "strace",
                "-f",
                "-qq",
                "-o",
                "/dev/null",
                "-e",
                "trace=rename",
                "-e",
                f"inject=rename:signal=SIGKILL:when={when}",
            ]
            + [sys.executable, "-c", MERGE, str(here), str(there)],
            capture_output=True,
            text=True,
        )
        assert ID in listed(here)
        assert len(list((here / ".runbook" / "incoming").glob("*.lock"))) <= 1
        merge(registry_at(here), there)
        assert contents(here) == expected
        assert listed(here)[SEED_ID]["notes"] == "good"
        assert list((here / ".runbook" / "incoming").iterdir()) == []
        if done.returncode == 0:
            break
    assert when > 12


@pytest.mark.slow
def test_merges_into_one_at_once_make_one_union(here, tmp_path):
    """Several processes, several sources, of which some have the same experiments."""
    sources = [tmp_path / f"source{n}" for n in range(3)]
    ids = [make(sources[0], name) for name in "ab"]
    shutil.copytree(sources[0], sources[1])
    ids.append(make(sources[1], "c"))
    ids.append(make(sources[2], "d"))
    processes = [
        subprocess.Popen([sys.executable, "-c", MERGE, str(here), str(source)], stderr=subprocess.PIPE, text=True)
        for source in sources
    ]
    for process in processes:
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
    assert set(listed(here)) == set(ids)
    for one in ids:
        source = next(source for source in sources if (source / one).exists())
        assert files_in(here / one) == files_in(source / one)


def test_one_in_the_trash_comes_in_again(here, there):
    """The trash is no part of the union; what was deleted here is still there to be restored."""
    one = make(there, "one")
    merge(registry_at(here), there)
    trash.delete(registry_at(here), one)
    assert merge(registry_at(here), there).added == (one,)
    assert set(listed(here)) == {one} and (here / ".trash" / one).exists()


def test_the_report_cannot_be_changed(here, there):
    """It is a record of what was done."""
    make(there)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        merge(registry_at(here), there).added = ()


# Any order, any number of times

STATES = [
    {"status": "running", "attempts": [attempt()], "mtime": 1_700_000_000},
    {"status": "running", "attempts": [attempt()], "mtime": 1_700_000_100},
    {"status": "failed", "attempts": [attempt(end=END)], "mtime": 1_700_000_200},
    {"status": "completed", "attempts": [attempt(end=END), attempt(start=END, end=END, pid=2)], "mtime": 1_700_000_300},
]
OTHERS = [{"notes": note, "attempts": [attempt(end=END, pid=100 + n)]} for n, note in enumerate("abc")]
ONE_BASE = st.fixed_dictionaries(
    {}, optional={ID: st.sampled_from(range(7)), "20241216_143052_baseline-2_a1b2c3d4": st.sampled_from(range(4, 7))}
)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(bases=st.lists(ONE_BASE, min_size=2, max_size=3), repeat=st.booleans(), data=st.data())
def test_in_any_order_the_union_is_the_same(bases, repeat, data):
    """Of each experiment the latest state, and every different one of the same id; what they are called may differ."""
    kinds = [*STATES, *OTHERS]
    with tempfile.TemporaryDirectory() as tmp:
        for number, base in enumerate(bases):
            (Path(tmp) / f"s{number}").mkdir()
            for one, kind in base.items():
                write(Path(tmp) / f"s{number}", one, files={"results/x": str(kind)}, **kinds[kind])
        unions = []
        for attempt_ in range(2):
            target = Path(tmp) / f"t{attempt_}"
            target.mkdir()
            for number in data.draw(st.permutations(range(len(bases)))):
                for _ in range(1 + repeat):
                    report = merge(registry_at(target), Path(tmp) / f"s{number}")
            assert not report.damaged
            unions.append(sorted(path.read_text() for path in target.glob("2*/results/x")))
            assert len(listed(target)) == len(unions[-1])
        assert unions[0] == unions[1]
        present = {kind for base in bases for kind in base.values()}
        latest = {max((kind for kind in present if kind < len(STATES)), default=None)} - {None}
        assert {int(text) for text in unions[0]} == latest | {kind for kind in present if kind >= len(STATES)}
        assert len(unions[0]) == len(set(unions[0]))
