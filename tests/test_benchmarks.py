"""The benchmark works and counts right; how fast anything is, is not a matter of tests."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

BENCHMARKS = Path(__file__).parent / "benchmarks"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not BENCHMARKS.is_dir(), reason="a source distribution has no benchmarks"),
]
SYSTEMS = ["runbook", "floor", "homemade"]
OPERATIONS = "import first start_finish log killed history list command compare storm libraries host".split()


class Run:
    """A run of the benchmark with sizes that take seconds."""

    def __init__(self, folder):
        self.folder = folder
        self.report = folder / "report.md"

    def start(self):
        options = ["--systems", *SYSTEMS, "--operations", *OPERATIONS, "--sizes", "20", "--repeats", "1"]
        options += ["--experiments", "2", "--log-calls", "100", "--processes", "2", "--storm-count", "2"]
        options += ["--work", "work", "--results", "results.jsonl", "--report", "report.md"]
        done = subprocess.run(
            [sys.executable, str(BENCHMARKS), *options], cwd=self.folder, capture_output=True, text=True, timeout=110
        )
        assert done.returncode == 0, done.stderr

    def records(self):
        return [json.loads(line) for line in (self.folder / "results.jsonl").read_text().splitlines()]

    def numbers(self, operation, system):
        """What was measured of one operation of one system, once for each set of parameters."""
        found = [
            record["numbers"]
            for record in self.records()
            if record.get("operation") == operation and record["system"] == system
        ]
        assert found
        return found


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One run for all tests here, whichever of pytest's processes they are in."""
    base = tmp_path_factory.getbasetemp()
    run = Run((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "benchmark")
    with FileLock(f"{run.folder}.lock"):
        if not run.report.exists():
            run.folder.mkdir(exist_ok=True)
            run.start()
    return run


def test_the_report_states_the_machine_and_the_versions(run):
    """A number without its machine cannot be compared."""
    text = run.report.read_text()
    for fact in ("- processor: ", "- cores: ", "- file system: ", "- fsync of 2 kB", "- python: ", "- runbook: 0."):
        assert fact in text


def test_every_table_has_a_row_for_each_system_and_a_cell_for_each_column(run):
    """A system that lacks a feature has a row that states it."""
    tables = [part for part in run.report.read_text().split("\n## ") if "| runbook |" in part]
    assert len(tables) >= len(OPERATIONS) - 1
    for table in tables:
        rows = [line for line in table.splitlines() if line.startswith("|")]
        assert len({row.count("|") for row in rows}) == 1, table
        titles = [row.split("|")[1].strip() for row in rows[2:]]
        assert [title for title in titles if not title.startswith("`")] == [
            "runbook",
            "floor (the same bytes and fsyncs)",
            "home-made registry",
        ]


def test_every_operation_of_runbook_is_measured(run):
    """runbook itself fails no operation; only its command line may not be installed."""
    for operation in set(OPERATIONS) - {"libraries"}:
        for numbers in run.numbers(operation, "runbook"):
            assert "unavailable" not in numbers or operation == "command", numbers


def test_what_is_no_system_is_measured_in_rows_of_its_own(run):
    """The libraries are what runbook itself needs; another system's row there would compare what is not the same."""
    tables = {part.split("\n")[0]: part for part in run.report.read_text().split("\n## ")}
    (table,) = (text for title, text in tables.items() if "load at once" in title)
    rows = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("|")]
    assert [row for row in rows[2:] if not row.startswith("`import attrs")] == []
    each = [run.numbers("libraries", row)[0] for row in ("attrs", "attrs, filelock", "attrs, filelock, git")]
    assert all(numbers["longest_s"] > 0 for numbers in each)
    assert len(each) == len(rows[2:])


def test_every_logged_step_survives_the_kill(run):
    """What `log` has returned from is there after a SIGKILL; the list in memory of the home-made manager is not."""
    (ours,) = run.numbers("killed", "runbook")
    assert (ours["calls"], ours["survived"]) == (100, 100)
    (theirs,) = run.numbers("killed", "homemade")
    assert (theirs["calls"], theirs["survived"]) == (100, 0)


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("operation", ["start_finish", "storm"])
def test_no_experiment_is_lost(run, operation, system):
    """What is measured has really happened: every experiment is there afterwards."""
    assert [numbers["lost"] for numbers in run.numbers(operation, system)] == [0, 0]


@pytest.mark.parametrize("system", ["runbook", "homemade"])
@pytest.mark.parametrize("operation", ["list", "compare"])
def test_the_answers_are_right(run, operation, system):
    """A listing and a comparison count only with the right experiments in the right order."""
    assert [numbers["right"] for numbers in run.numbers(operation, system)] == [True]


def test_the_first_experiment_is_measured_with_all_that_it_captures(run):
    """An experiment that left git out would be ready sooner."""
    (numbers,) = run.numbers("first", "runbook")
    assert numbers["captured"] is True


def test_a_run_that_is_started_again_measures_only_what_is_missing(run, tmp_path):
    """An interrupted run continues where it stopped."""
    run = Run(shutil.copytree(run.folder, tmp_path / "benchmark"))
    path = run.folder / "results.jsonl"
    measured = [record for record in run.records() if "operation" in record]
    kept = [line for line in path.read_text().splitlines() if '"operation": "host"' not in line]
    path.write_text("".join(f"{line}\n" for line in kept))
    run.start()
    again = [record for record in run.records() if "operation" in record]
    assert len(again) == len(measured)
    assert [record["operation"] for record in again[-6:]] == ["host"] * 6


CONTRACT = """
import importlib, json, sys
sys.path.insert(0, sys.argv[1])
import systems
drivers = {name: importlib.import_module(f"systems.{name}") for name in systems.ALL}
lacks = {}
for name, driver in drivers.items():
    wanted = {"TITLE", "PACKAGE", "ENVIRONMENT", "ABSENT", "connect", "run", "count"}
    wanted |= set() if "import" in driver.ABSENT else {"IMPORT"}
    for operation, function in {"list": "listing", "history": "history", "compare": "compare"}.items():
        wanted |= set() if operation in driver.ABSENT else {function}
    lacks[name] = sorted(attribute for attribute in wanted if not hasattr(driver, attribute))
print(json.dumps({"lacks": lacks, "loaded": [name for name in systems.PEERS if name in sys.modules]}))
"""


def test_every_driver_has_each_operation_or_says_why_not():
    """The drivers are twins, and looking at them loads nothing of the systems."""
    done = subprocess.run([sys.executable, "-c", CONTRACT, str(BENCHMARKS)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {name: lacks for name, lacks in found["lacks"].items() if lacks} == {}
    assert found["loaded"] == []
