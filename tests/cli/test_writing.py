"""The commands that write: what they print, for people and for programs, what they ask, and their exit codes."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest
from cli_runner import cli_runner

from runbook import ExperimentManager
from runbook.cli import main
from runbook.cli.outcomes import format_size

MIB = 1024 * 1024
HOSTILE = "\x1b]0;owned\x07\x1b[31m\u202eevil\r\nname"


@pytest.fixture
def run(base):
    """Calls a command on `base`, in this process."""

    def call(*args, **options):
        return cli_runner().invoke(main, ["--dir", str(base), *map(str, args)], **options)

    return call


@pytest.fixture
def data(run):
    """Calls a command with --json; its data, after its exit code was checked."""

    def call(*args, code=0):
        result = run(*args, "--json")
        assert result.exit_code == code, result.output
        return json.loads(result.stdout)

    return call


@pytest.fixture
def program(base, tmp_path):
    """Starts a command on `base`, as a process of its own."""

    def start(*args, **options):
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        command = [sys.executable, "-m", "runbook", "--dir", str(base), *map(str, args)]
        return subprocess.Popen(command, cwd=tmp_path, text=True, **options)

    return start


@pytest.fixture
def done(program):
    """Runs it to its end."""

    def call(*args, text=None, **options):
        process = program(*args, **({} if text is None else {"stdin": subprocess.PIPE}), **options)
        out, err = process.communicate(text, timeout=60)
        assert "Traceback" not in err
        return subprocess.CompletedProcess(args, process.returncode, out, err)

    return call


def at_a_terminal(program, *args, answer):
    """Run it with a terminal as its input and error output; its exit code and what the terminal shows.

    The answer is typed, or is a signal, as Ctrl-C would send it.
    """
    ours, theirs = pty.openpty()
    process = program(*args, stdin=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    until = time.monotonic() + 30
    while b"[y/N]" not in shown and time.monotonic() < until and process.poll() is None:
        if select.select([ours], [], [], 0.1)[0]:
            shown += os.read(ours, 10_000)
    if isinstance(answer, bytes):
        os.write(ours, answer)
    else:
        # As a person would: Python misses a signal that comes between its last look and the read that waits.
        time.sleep(0.5)
        process.send_signal(answer)
    try:
        process.communicate(timeout=30)
    finally:
        process.kill()
        os.close(ours)
    return process.returncode, shown.decode()


def make(manager, name="x", size=10, **options):
    with manager.experiment({"name": name}, name=name, **options) as exp:
        with (exp.checkpoints_dir / "weights.bin").open("wb") as file:
            file.truncate(size)
    return exp.id


def ids(manager):
    return {entry["experiment_id"] for entry in manager.list_experiments()}


def in_trash(manager):
    return [entry["experiment_id"] for entry in manager.list_trash()]


@pytest.fixture
def live(script):
    """A running experiment in another process; gives its id."""
    process = script.start(
        "import time\nfrom runbook import experiment\n"
        "with experiment({}, name='live') as exp:\n    print(exp.id, flush=True)\n    time.sleep(60)\n"
    )
    yield process.stdout.readline().strip()
    process.kill()
    process.communicate()


# --- note, tag, end --------------------------------------------------------------------------------------------------


def test_a_note_is_what_is_typed_or_piped(manager, run, data):
    """Several words are one note; - reads it all."""
    one = make(manager)
    assert run("note", "latest", "looks", "good").stdout == f"{one}: noted\n"
    assert run("note", one, "-", input="from\na pipe\n").exit_code == 0
    assert run("note", one, "--", "-5 % better").exit_code == 0
    assert data("note", "x", "last") == {
        "experiment_id": one,
        "notes": "looks good\nfrom\na pipe\n-5 % better\nlast",
    }


@pytest.mark.parametrize("args", [["note", "x"], ["note", "x", " "], ["note", "x", "-"], ["tag", "x", ""]])
def test_nothing_to_say_is_a_usage_error(manager, run, args):
    """And nothing is changed."""
    make(manager)
    assert run(*args, input="").exit_code == 2
    assert (manager.get_experiment("x").notes, manager.get_experiment("x").tags) == (None, ())


def test_tags_are_given_taken_and_shown(manager, run, data):
    """Giving and taking the same at once is refused."""
    one = make(manager, tags=["a"])
    assert run("tag", "x", "b", "c", "--remove", "a").stdout == f"{one}: b, c\n"
    assert run("tag", "x", "d", "-r", "d").exit_code == 2
    assert data("tag", "x", "-r", "b") == {"experiment_id": one, "tags": ["c"]}
    assert data("tag", "x") == {"experiment_id": one, "tags": ["c"]}
    assert run("tag", "x", "-r", "c").stdout == f"{one}: no tags\n"


def test_a_running_experiment_is_annotated_from_outside(live, manager, run):
    """While its process goes on."""
    run("note", "live", "from outside")
    run("tag", "live", "outside")
    view = manager.get_experiment(live)
    assert (view.notes, view.tags, view.status) == ("from outside", ("outside",), "running")


def test_end_refuses_what_is_alive_or_over(live, manager, run):
    """Only one that nobody can see can be declared ended."""
    alive, over = run("end", "live"), run("end", make(manager))
    assert alive.exit_code == over.exit_code == 2
    assert "is alive" in alive.stderr and "has ended already" in over.stderr


def test_end_ends_one_of_a_lost_machine(manager, base, run, data):
    """It gets the given status and a note."""
    one = make(manager)
    path = base / one / "experiment.json"
    record = json.loads(path.read_text()) | {"status": "running", "completed_at": None, "end_reason": None}
    record["attempts"][0] |= {"ended_at": None, "end_reason": None}
    record["attempts"][0]["owner"] |= {"host": "elsewhere", "boot_id": "another", "machine_id": "m", "is_locked": False}
    path.write_text(json.dumps(record))
    (base / "experiment_registry.json").unlink()
    assert f"'runbook end {one}'" in run("doctor").stdout
    assert data("end", one, "--status", "failed", "--note", "it burnt") == {"experiment_id": one, "status": "failed"}
    assert (manager.get_experiment(one).status, manager.get_experiment(one).notes) == ("failed", "it burnt")
    assert run("end", one, "--status", "running").exit_code == 2


# --- export, import, merge -------------------------------------------------------------------------------------------


def test_several_go_into_a_folder_and_come_back(manager, tmp_path, run, data):
    """Each under its id; a .zip file holds one."""
    one, two = make(manager, "one"), make(manager, "two")
    out = tmp_path / "out"
    assert data("export", "one", "two", out) == {
        "exported": [{"experiment_id": one, "path": str(out / one)}, {"experiment_id": two, "path": str(out / two)}],
        "failed": [],
    }
    assert run("export", "one", "two", tmp_path / "both.zip").exit_code == 2
    assert run("export", "one", tmp_path / "one.zip").stdout == f"{one}: exported to {tmp_path / 'one.zip'}\n"
    result = cli_runner().invoke(
        main,
        [
            "--dir",
            str(tmp_path / "other"),
            "--json",
            "import",
            str(out / one),
            str(tmp_path / "one.zip"),
            str(out / two),
        ],
    )
    imported = json.loads(result.stdout)
    assert [found["experiment_id"] for found in imported["imported"]] == [one, None, two]
    assert imported.keys() == {"imported", "failed"} and imported["imported"][0].keys() == {"path", "experiment_id"}
    assert ids(ExperimentManager(tmp_path / "other")) == {one, two}


def test_of_several_the_others_are_done_and_the_worst_code_is_given(manager, tmp_path, run, data):
    """Each error is printed with the word that was typed."""
    one, two = make(manager, "one"), make(manager, "two")
    result = data("export", "one", "nobody", "two", tmp_path / "out", code=1)
    assert [found["experiment_id"] for found in result["exported"]] == [one, two]
    assert [found["given"] for found in result["failed"]] == ["nobody"]
    again = run("export", "one", "nobody", tmp_path / "out")
    assert again.exit_code == 2
    assert (
        "no experiment 'nobody'" in again.stderr
        and "exists already; remove it or choose another target" in again.stderr
    )


def test_an_export_never_writes_over_anything(manager, tmp_path, run):
    """Not a file, not a folder, not a link to nowhere."""
    one = make(manager)
    (tmp_path / "a.zip").write_text("mine")
    (tmp_path / "b.zip").symlink_to(tmp_path / "nowhere")
    (tmp_path / "out" / one).mkdir(parents=True)
    for target in ("a.zip", "b.zip", "out"):
        assert run("export", one, tmp_path / target).exit_code == 2
    assert (tmp_path / "a.zip").read_text() == "mine" and os.listdir(tmp_path / "out" / one) == []
    assert not (tmp_path / "nowhere").exists()
    assert run("export", one, tmp_path / "a.zip" / "below").exit_code == 3


def test_garbage_is_not_imported(manager, tmp_path, run, data):
    """Whatever it is, what is sound beside it comes in."""
    good = manager.export_experiment(make(manager), tmp_path / "good.zip")
    (tmp_path / "text.zip").write_text("no zip")
    (tmp_path / "cut.zip").write_bytes(good.read_bytes()[:-100])
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.zip").touch()
    os.mkfifo(tmp_path / "pipe")
    bad = [tmp_path / name for name in ("text.zip", "cut.zip", "empty", "empty.zip", "pipe", "missing")]
    manager.delete_experiment("x")
    result = data("import", *bad, good, code=3)
    assert [found["path"] for found in result["imported"]] == [str(good)]
    assert [found["given"] for found in result["failed"]] == list(map(str, bad))
    assert len(ids(manager)) == 1 and os.listdir(manager.base_dir / ".runbook" / "incoming") == []
    assert run("import", tmp_path / "missing").exit_code == 1
    assert run("import").exit_code == run("export", "x").exit_code == 2


def test_a_conflict_of_ids_is_an_error_with_the_options(manager, tmp_path, base, run):
    """Rename, skip or error, as the library has it."""
    one = make(manager)
    bundle = manager.export_experiment(one, tmp_path / "x.zip")
    (base / one / "results" / "more").write_text("more")
    refused = run("import", bundle)
    assert refused.exit_code == 2 and "--on-conflict rename" in refused.stderr
    assert f"'runbook rm {one}'" in refused.stderr and "delete_experiment" not in refused.stderr
    assert run("import", bundle, "--on-conflict", "skip").exit_code == 0 and ids(manager) == {one}
    assert run("import", bundle, "--on-conflict", "rename").exit_code == 0 and len(ids(manager)) == 2


def test_a_merge_is_reported_in_numbers_and_in_json(manager, tmp_path, base, run, data):
    """A damaged one is code 3, and the others come in."""
    other = ExperimentManager(tmp_path / "other")
    one, two, bad = make(other, "one"), make(other, "two"), make(other, "bad")
    (other.base_dir / bad / "experiment.json").write_text("{")
    result = data("merge", other.base_dir, code=3)
    assert result.keys() == {"added", "skipped", "updated", "renamed", "damaged", "annotated"}
    assert {one, two} <= set(result["added"]) and list(result["damaged"]) == [bad]
    other.add_note(one, "more")
    shutil.rmtree(other.base_dir / bad)
    other.delete_experiment(bad) if bad in ids(other) else None
    assert "here already, 1 of them with new notes or tags" in run("merge", other.base_dir).stdout
    itself = run("merge", base)
    assert itself.exit_code == 2 and "cannot be merged with itself; name the base directory that" in itself.stderr
    assert run("merge", tmp_path / "nowhere").exit_code == 1
    assert not (tmp_path / "nowhere").exists()


# --- rm, restore, gc -------------------------------------------------------------------------------------------------


def test_rm_asks_with_a_list_of_what_goes(manager, program):
    """No, and it stays; yes, and it is in the trash."""
    one, two = make(manager, "one"), make(manager, "two")
    code, shown = at_a_terminal(program, "rm", "one", "two", answer=b"n\n")
    assert code == 1 and "Move 2 experiments into the trash? [y/N]" in shown
    assert f"{one}  completed" in shown and f"{two}  completed" in shown
    assert ids(manager) == {one, two}
    code, _ = at_a_terminal(program, "rm", "one", answer=b"y\n")
    assert code == 0 and ids(manager) == {two} and in_trash(manager) == [one]
    code, _ = at_a_terminal(program, "rm", "two", answer=signal.SIGINT)
    assert code == 130 and ids(manager) == {two}


@pytest.mark.parametrize("text", [None, "y\n"])
def test_rm_without_a_terminal_needs_yes(manager, done, text):
    """An answer from a pipe does not count."""
    one = make(manager)
    result = done("rm", one, text=text)
    assert result.returncode == 2 and "pass --yes" in result.stderr and result.stdout == ""
    assert ids(manager) == {one}
    assert done("rm", one, "--yes").returncode == 0 and ids(manager) == set()


def test_a_dry_run_of_rm_changes_nothing_and_asks_nothing(manager, data):
    """Its output is that of the real command."""
    one = make(manager, size=3 * MIB)
    planned = data("rm", "x", "--dry-run")
    assert planned.keys() == {"deleted", "failed", "dry_run"} and planned["dry_run"] is True
    (entry,) = planned["deleted"]
    assert entry.keys() == {"experiment_id", "custom_name", "status", "bytes"} and entry["bytes"] > 3 * MIB
    assert ids(manager) == {one}
    assert data("rm", "x", "--yes") == {**planned, "dry_run": False} and in_trash(manager) == [one]


def test_rm_refuses_what_runs_and_does_the_others(live, manager, run):
    """Before anybody is asked."""
    one = make(manager)
    result = run("rm", "live", one, "--yes")
    assert result.exit_code == 2 and f"{live} is running and stays" in result.stderr
    assert ids(manager) == {live} and in_trash(manager) == [one]


def test_rm_means_what_it_meant_when_it_was_typed(manager, run):
    """`latest` and @2 are looked up once, before anything goes; twice the same goes once."""
    one, two, three = make(manager, "one"), make(manager, "two"), make(manager, "three")
    assert run("rm", "latest", "@1", "@2", "--yes").exit_code == 0
    assert ids(manager) == {one} and set(in_trash(manager)) == {two, three}


def test_rm_with_a_word_that_is_nothing(manager, run):
    """The others are deleted, and the code shows the error; without any word it is a usage error."""
    one = make(manager)
    assert run("rm", "nobody", one, "--yes").exit_code == 1 and in_trash(manager) == [one]
    assert run("rm", "--yes").exit_code == 2
    assert run("rm", "nobody").exit_code == 1


def test_restore_brings_back_once(manager, run, data):
    """The second time there is nothing to bring back."""
    one = make(manager)
    assert data("restore", "--list", code=1) == [] and run("restore", "--list").exit_code == 1
    run("rm", one, "--yes")
    (entry,) = data("restore", "--list")
    assert entry["experiment_id"] == one and entry["deleted_at"] and "status" in entry
    assert run("restore", "-l").stdout == f"{one}  completed  deleted just now\n"
    assert data("restore", "x") == {"restored": [{"experiment_id": one}], "failed": []}
    again = run("restore", "x")
    assert again.exit_code == 1 and "'runbook restore --list' shows what is there" in again.stderr
    assert ids(manager) == {one} and run("restore").exit_code == 2


def test_restore_never_takes_the_place_of_another(manager, base, run):
    """What is there stays, and what is in the trash, too."""
    one = make(manager)
    run("rm", one, "--yes")
    (base / one).mkdir()
    result = run("restore", one)
    assert result.exit_code == 2 and "there is another experiment" in result.stderr and in_trash(manager) == [one]


def test_gc_asks_and_deletes_for_good(manager, base, program, done, data):
    """With the number and the size of what goes."""
    kept, gone = make(manager, "kept"), make(manager, "gone", size=2 * MIB)
    assert done("gc").stdout == "there is nothing to delete\n"
    manager.delete_experiment(gone)
    code, shown = at_a_terminal(program, "gc", answer=b"n\n")
    # What is not committed here is in the folder, too.
    asked = r"Delete 1 experiment and 0 leftovers for good \(2\.\d MiB\)\? \[y/N\]"
    assert code == 1 and gone in shown and re.search(asked, shown)
    assert done("gc").returncode == 2 and in_trash(manager) == [gone]
    planned = data("gc", "--dry-run")
    assert planned.keys() == {"experiments", "leftovers", "freed_bytes", "failed", "dry_run"}
    code, _ = at_a_terminal(program, "gc", answer=b"y\n")
    assert code == 0 and in_trash(manager) == [] and ids(manager) == {kept}
    assert data("gc", "--yes") == {"experiments": [], "leftovers": [], "freed_bytes": 0, "failed": {}, "dry_run": False}


def test_gc_does_not_delete_what_it_has_not_shown(manager, program):
    """Experiments that are deleted while the question is open are kept in the trash."""
    one, two = make(manager, "one"), make(manager, "two")
    manager.delete_experiment(one)
    ours, theirs = pty.openpty()
    process = program("gc", stdin=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    while b"[y/N]" not in shown:
        shown += os.read(ours, 10_000)
    manager.delete_experiment(two)
    os.write(ours, b"y\n")
    process.communicate(timeout=30)
    os.close(ours)
    assert process.returncode == 2 and in_trash(manager) == [one, two]


def test_gc_spares_the_recent(manager, base, run):
    """By the age that is given, in the words of `--since`."""
    one = make(manager)
    manager.delete_experiment(one)
    line = base / ".trash" / f".{one}.json"
    kept = json.loads(line.read_text()) | {"deleted_at": (datetime.now(UTC) - timedelta(days=10)).isoformat()}
    line.write_text(json.dumps(kept))
    for bad in ("30x", "-3d", "2999-01-01", ""):
        assert run("gc", "--older-than", bad, "--yes").exit_code == 2
    assert run("gc", "--older-than", "2w", "--yes").exit_code == 0 and in_trash(manager) == [one]
    assert run("gc", "--older-than", "1w", "--yes").exit_code == 0 and in_trash(manager) == []


# --- doctor, repair --------------------------------------------------------------------------------------------------


def test_doctor_and_repair_say_by_their_code_what_is_wrong(manager, base, run, data):
    """0 when all is well, 3 while there is a problem."""
    one = make(manager)
    keys = {"kind", "severity", "subject", "message", "remedy", "is_repairable"}
    found = data("doctor")
    assert all(finding.keys() == keys and finding["severity"] == "note" for finding in found)
    (base / one / "experiment.json").write_text("{")
    assert run("doctor").exit_code == 3 and "'runbook repair'" in run("doctor").stdout
    planned = data("repair", "--dry-run")
    assert planned.keys() == {"repaired", "left", "dry_run"} and planned["repaired"][0].keys() == keys
    assert planned["repaired"][0]["remedy"].startswith("'runbook repair' moves it aside")
    assert manager.doctor()[0].remedy.startswith("repair() moves it aside")
    assert not (base / ".set-aside").exists()
    assert data("repair") == {**planned, "dry_run": False}
    assert run("doctor").exit_code == 0 and "no problems" in run("doctor").stdout
    assert (run("repair").exit_code, run("repair").stdout) == (0, "there is nothing to mend\n")


def test_what_no_repair_can_mend_is_code_3_of_both(manager, base, run, data):
    """A person has to decide about a checksum that differs."""
    with manager.experiment({}, name="x") as exp:
        exp.save_metrics("val", {"f1": 1})
    (exp.metrics_dir / "val.json").write_text('{"f1": 2}')
    assert run("doctor").exit_code == 3
    assert [finding["kind"] for finding in data("repair", code=3)["left"]] == ["checksum"]


# --- hostile surroundings --------------------------------------------------------------------------------------------


VERBS = ["note", "tag", "end", "export", "import", "merge", "rm", "restore", "gc", "doctor", "repair"]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_a_help_with_its_json_and_an_example(run, verb):
    """Nobody has to read the source."""
    help_ = run(verb, "--help").stdout
    assert "With --json:" in help_ and f"runbook {verb}" in help_ and re.search(r"Example", help_)


@pytest.mark.parametrize(
    "args",
    [["note", "x", "y"], ["tag", "x", "y"], ["end", "x"], ["export", "x", "out"], ["rm", "x", "-y"], ["restore", "x"],
     ["gc", "-y"], ["doctor"], ["repair"]],
)  # fmt: skip
def test_a_mistyped_base_directory_is_not_made(run, base, args):
    """And is code 1: there is nothing."""
    assert run(*args).exit_code == 1
    assert not base.exists()


def test_no_name_controls_the_terminal(base, tmp_path, run, data):
    """Names, notes, tags, paths and ids of the legacy tool are shown as escapes, and are whole in the JSON."""
    manager = ExperimentManager(base)
    make(manager, HOSTILE)
    odd = "20241216_143052_\x1b[31mred_a1b2c3d4"
    (base / odd).mkdir()
    (base / odd / "config.json").write_text("{}")
    out = tmp_path / "\x1b[31mout"
    calls = [
        ["note", HOSTILE, HOSTILE], ["tag", HOSTILE, HOSTILE], ["tag", odd, HOSTILE], ["note", odd, HOSTILE],
        ["export", HOSTILE, odd, out], ["import", out / odd, out], ["rm", odd, "-n"], ["rm", odd, "-y"],
        ["restore", "-l"], ["restore", odd], ["rm", odd, "-y"], ["gc", "-n"], ["gc", "-y"], ["doctor"], ["repair"],
        ["restore", HOSTILE], ["rm", "\x1b[31m", "-y"], ["merge", out], ["import", "\x1b[31m"], ["end", HOSTILE],
    ]  # fmt: skip
    for args in calls:
        result = run(*args)
        assert not re.search(r"[^\x20-\x7e\n]", result.output.replace("…", "")), (args, result.output)
        assert result.exception is None or isinstance(result.exception, SystemExit), (args, result.exception)
    assert data("tag", HOSTILE)["tags"] == [HOSTILE]
    assert "\x1b" not in run("tag", HOSTILE, "--json").output


@pytest.mark.parametrize("wanted", ["..", "/", "../x", "", ".trash", ".runbook", "@0", "@99", "*", "~"])
def test_no_word_leads_out_of_the_base_directory(manager, base, tmp_path, run, wanted):
    """Whatever is typed is an experiment here, or nothing."""
    make(manager)
    (tmp_path / "x").mkdir()
    before = sorted(str(path) for path in tmp_path.rglob("*") if ".runbook" not in str(path))
    for args in (
        ["rm", wanted, "-y"],
        ["restore", wanted],
        ["note", wanted, "n"],
        ["export", wanted, tmp_path / "out"],
    ):
        assert run(*args).exit_code in {1, 2}, args
    assert sorted(str(path) for path in tmp_path.rglob("*") if ".runbook" not in str(path)) == before


@pytest.fixture
def read_only(base, manager):
    """`base` with an experiment in it, on a disk that takes nothing more."""
    one = make(manager)
    mounted = subprocess.run(
        f"mount --bind {base} {base} && mount -o remount,ro,bind {base}", shell=True, capture_output=True
    )
    if mounted.returncode:
        subprocess.run(["umount", base], capture_output=True)
        pytest.skip(f"cannot mount: {mounted.stderr.decode().strip()}")
    yield one
    subprocess.run(["umount", base], check=True)


def test_a_disk_that_takes_nothing_is_code_3_and_one_line(read_only, manager, tmp_path, done):
    """Commands that read work; commands that write print the reason why they cannot."""
    other = ExperimentManager(tmp_path / "other")
    bundle = other.export_experiment(make(other, "y"), tmp_path / "y.zip")
    assert done("export", "x", tmp_path / "out").returncode == 0
    assert done("doctor").returncode == 0
    for args in (
        ["note", "x", "n"],
        ["tag", "x", "t"],
        ["rm", "x", "-y"],
        ["import", bundle],
        ["merge", tmp_path / "other"],
    ):
        result = done(*args)
        assert result.returncode in {2, 3}, (args, result.stderr)
        assert result.stderr.startswith("runbook: ") and "ead-only" in result.stderr, (args, result.stderr)
    assert manager.get_experiment("x").notes is None


def test_ctrl_c_in_an_export_is_code_130_and_leaves_nothing(manager, tmp_path, program):
    """On a terminal, with the bar drawn or not."""
    make(manager, size=200 * MIB)
    process = program("export", "x", tmp_path / "x.zip")
    until = time.monotonic() + 20
    while not list(tmp_path.glob(".x.zip*")) and time.monotonic() < until:
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130 and "Traceback" not in err
    assert list(tmp_path.glob("*x.zip*")) == []


def test_ctrl_c_in_an_import_is_code_130_and_leaves_nothing(tmp_path, manager, program):
    """The half that was there is gone with it."""
    other = ExperimentManager(tmp_path / "other")
    bundle = other.export_experiment(make(other, size=200 * MIB), tmp_path / "out")
    incoming = manager.base_dir / ".runbook" / "incoming"
    process = program("import", bundle)
    until = time.monotonic() + 20
    while not list(incoming.glob("*/checkpoints/*")) and time.monotonic() < until:
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130 and "Traceback" not in err
    assert ids(manager) == set() and os.listdir(incoming) == []


def test_a_reader_that_has_seen_enough_ends_it_quietly(manager, tmp_path, program):
    """`runbook export … | head -1` is no failure of an experiment."""
    for nth in range(5):
        make(manager, f"x{nth}")
    reading, writing = os.pipe()
    os.close(reading)
    process = program("export", *[f"x{nth}" for nth in range(5)], tmp_path / "out", stdout=writing)
    os.close(writing)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 141 and err == ""


# --- words -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "shown"), [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (3 * 1024**5, "3072.0 TiB")]
)
def test_sizes_are_in_the_unit_that_suits_them(count, shown):
    """Powers of 1024, as IEC 80000-13 names them."""
    assert format_size(count) == shown
