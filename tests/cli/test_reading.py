"""The commands that read: what they print for people, and the shapes of their JSON."""

from __future__ import annotations

import csv
import io
import json
import os
import stat

import pytest

from runbook.cli.commands import open_
from runbook.read.view import layout_of

ENTRY = {
    "experiment_id", "timestamp", "status", "custom_name", "description", "config", "directory", "completed_at",
    "notes", "metrics", "tags", "end_reason", "parent", "host",
}  # fmt: skip


@pytest.fixture
def ask(run):
    """Calls a command with `--json` and gives what it printed, as data; its exit code is the one expected."""

    def call(*args: str, code: int = 0):
        result = run(*args, "--json")
        assert result.exit_code == code, result.stderr
        return json.loads(result.stdout, parse_constant=pytest.fail)

    return call


# --- ls -------------------------------------------------------------------------------------------------------------


def test_ls_is_newest_first_with_the_fields_of_the_registry(ask, shelf):
    """The shape that `--json` promises, and no more."""
    entries = ask("ls")
    assert [entry["experiment_id"] for entry in entries] == list(shelf.values())[::-1]
    assert all(set(entry) == ENTRY for entry in entries)
    failed = next(entry for entry in entries if entry["experiment_id"] == shelf["failed"])
    assert failed["metrics"] == {"loss": "NaN"}


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["--status", "failed"], ["hostile", "failed"]),
        (["--status", "failed", "--status", "interrupted"], ["killed", "hostile", "failed"]),
        (["--tag", "quick", "--tag", "v1"], ["completed 1", "completed 0"]),
        (["--name", "base*"], ["failed", "completed 1", "completed 0"]),
        (["--since", "1h", "--name", "killed"], ["killed"]),
        (["metrics.test_f1 > 0.85"], ["completed 1"]),
        (["config.lr >= 0.5", "--sort", "config.lr"], ["killed", "failed"]),
        (["config.lr >= 0.5", "--sort", "-config.lr"], ["failed", "killed"]),
        (["--sort", "status,-config.seed", "-n", "2"], ["completed 1", "completed 0"]),
        (["-n", "1"], ["killed"]),
        (["--until", "1h"], []),
    ],
)
def test_ls_filters_and_sorts(words, found, ask, shelf):
    """The same words as those of `find`; nothing found is an empty array and 1."""
    entries = ask("ls", *words, code=0 if found else 1)
    assert [entry["experiment_id"] for entry in entries] == [shelf[one] for one in found]


def test_ls_suggests_an_option_for_a_single_word(run, shelf):
    """A name where an expression belongs gets a hint about --name or --status."""
    result = run("ls", "baseline")
    assert result.exit_code == 2
    assert "--name baseline" in result.stderr


def test_ls_shows_fields_that_are_asked_for(run, shelf):
    """Numbers, lists and what is missing."""
    result = run("ls", "--columns", "config.lr, tags", "--name", "baseline")
    assert result.stdout.splitlines()[0].split()[5:7] == ["config.lr", "tags"]
    assert [line.split()[7] for line in result.stdout.splitlines()[3:]] == ["0.01", "0.01"]
    assert "quick, v1" in result.stdout


def test_ls_in_a_pipe_cuts_nothing(run, manager):
    """What a program reads is whole, however long."""
    name, prompt = "n" * 300, "w" * 50_000
    with manager.experiment({"lr": 1, "prompt": prompt}, name=name) as exp:
        exp.save_final_metrics({f"a_rather_long_metric_{number}": number / 7 for number in range(8)})
    with manager.experiment({"lr": 2}):
        pass
    out = run("ls", "--columns", "config.prompt").stdout
    for part in (name, exp.id, "a_rather_long_metric_7", prompt):
        assert part in out
    for words in (["show", exp.id], ["compare", "@1", "@2"], ["diff", "@1", "@2"]):
        assert prompt in run(*words).stdout


@pytest.mark.parametrize("columns", [80, 100, 120, 200])
def test_ls_never_cuts_what_matters(columns, terminal, manager):
    """The time in an id, the status and numbers are whole at any width; what there is no room for is named."""
    with manager.experiment({"lr": 1}, name="a name that is longer than any column has room for, to be sure") as exp:
        exp.save_final_metrics({f"metric_{number}": 1234.5678 + number for number in range(12)})
    code, shown = terminal("ls", "--no-color", columns=columns)
    title, _, row, *notes = shown.splitlines()
    assert code == 0
    assert row.startswith(exp.id[:15])
    assert " completed " in row
    count = sum(word.startswith("metric_") for word in title.split())
    assert count >= 1
    assert row.split()[-count:] == [f"{value + 1235:d}" for value in range(count)]
    assert f"metric_{count}" in " ".join(notes)


def test_ls_on_a_terminal_shows_the_newest_fifty(terminal, manager):
    """And says how many there are; in a pipe it is all of them."""
    for _ in range(52):
        manager.create_experiment({"lr": 1})
        manager.mark_complete()
    _, shown = terminal("ls", "--no-color")
    assert len(shown.splitlines()) == 2 + 50 + 1
    assert "50 of 52 shown, -n 0 for all" in shown
    assert len(terminal("ls", "-n", "0", "--no-color")[1].splitlines()) == 2 + 52


# --- show, path, open -----------------------------------------------------------------------------------------------


def test_show_has_everything(ask, run, shelf):
    """In one object, and on one screen."""
    shown = ask("show", shelf["failed"])
    assert set(shown) == ENTRY | {"duration_s", "function", "failure", "attempts", "environment", "files"}
    assert shown["failure"]["type"] == "ValueError"
    assert {"path", "bytes"} == set(shown["files"][0])
    assert "logs/traceback.txt" in [file["path"] for file in shown["files"]]
    text = run("show", shelf["completed 0"]).stdout
    for part in (
        "completed (returned)",
        "the first",
        "quick, v1",
        "model.name",
        "test_f1",
        "looks good",
        "second line",
    ):
        assert part in text
    assert "ValueError: the loss is NaN" in run("show", shelf["failed"]).stdout


def test_show_takes_the_latest_without_a_word(run, shelf):
    """What somebody just did is what they want to see."""
    assert run("show").stdout == run("show", "latest").stdout != run("show", "@2").stdout


def test_show_reads_an_experiment_of_the_legacy_tool(base, run):
    """It has a registry entry and a folder, but no record."""
    experiment_id = "20241216_143052_old_a1b2c3d4"
    (base / experiment_id).mkdir(parents=True)
    entry = {
        "experiment_id": experiment_id,
        "timestamp": "2024-12-16T14:30:52",
        "status": "completed",
        "config": {"lr": 1},
    }
    (base / "experiment_registry.json").write_text(json.dumps({"experiments": [entry]}))
    for verb in ("show", "ls", "why", "history"):
        assert run(verb).exit_code == (0 if verb in {"show", "ls"} else 1)
    assert "lr  1" in run("show").stdout


def test_a_damaged_record_is_not_shown_as_if_it_were_whole(run, shelf, manager):
    """The registry entry is shown with a message about the damage, and the code is 3; `why` shows the damage as well."""
    layout = layout_of(manager.get_experiment("latest"))
    layout.record.write_text("{ torn")
    result = run("show", "latest")
    assert result.exit_code == 3
    assert "killed" in result.stdout
    assert f"{layout.record} is damaged" in result.stderr
    assert f"{layout.record.name} is damaged" in run("why", "latest").stdout.replace("\n", "").replace(" " * 12, "")


def test_path_prints_the_folder_alone(run, ask, shelf, manager):
    """For `cd $(runbook path latest)`."""
    where = str(manager.base_dir / shelf["killed"])
    assert run("path", "latest").stdout == f"{where}\n"
    assert ask("path", "@1") == {"experiment_id": shelf["killed"], "path": where}


@pytest.mark.parametrize("wanted", ["FOLDER", "PREFIX", "killed", "@1", "latest"])
def test_an_experiment_goes_by_many_words(wanted, run, shelf, manager):
    """Id, beginning of an id, name, place, folder."""
    folder = manager.base_dir / shelf["killed"]
    word = {"FOLDER": f"{folder}/", "PREFIX": shelf["killed"][:-3]}.get(wanted, wanted)
    assert run("path", word).stdout == f"{folder}\n"


def test_a_name_that_there_is_not_has_the_nearest(run, shelf):
    """The message suggests the nearest name."""
    result = run("show", "baselin")
    assert result.exit_code == 1
    assert "did you mean baseline?" in result.stderr


def test_open_hands_the_folder_to_the_system(run, shelf, manager, monkeypatch, tmp_path):
    """The system's own program opens it; if it fails or is absent, the message has what to do."""
    monkeypatch.setattr(open_.sys, "platform", "linux")
    opener = tmp_path / "bin" / "xdg-open"
    opener.parent.mkdir()
    monkeypatch.setenv("PATH", str(opener.parent))
    result = run("open", "latest")
    assert result.exit_code == 2
    assert "--print" in result.stderr
    opener.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened\n')
    opener.chmod(opener.stat().st_mode | stat.S_IXUSR)
    assert run("open", "latest").exit_code == 0
    assert (tmp_path / "opened").read_text() == f"{manager.base_dir / shelf['killed']}\n"
    opener.write_text("#!/bin/sh\necho no display >&2\nexit 3\n")
    result = run("open")
    assert result.exit_code == 2
    assert "no display" in result.stderr
    assert run("open", "--print").stdout == run("path", "latest").stdout


# --- compare, diff, best --------------------------------------------------------------------------------------------


def test_compare_sets_them_side_by_side(run, ask, shelf):
    """What differs, the metrics, the best of each."""
    found = ask("compare", shelf["completed 0"], shelf["completed 1"])
    assert set(found) == {"experiments", "config_diff", "metrics", "directions", "best"}
    assert found["best"] == {"test_f1": [shelf["completed 1"]], "test_loss": [shelf["completed 1"]]}
    text = run("compare", shelf["completed 0"], shelf["completed 1"]).stdout
    assert "0.9*" in text
    assert ask("compare", "--tag", "v1") == found


@pytest.mark.parametrize(("form", "mark"), [("markdown", "| ---"), ("latex", "\\toprule"), ("csv", "custom_name,")])
def test_compare_has_forms_for_papers_and_programs(form, mark, run, shelf):
    """Markdown, LaTeX and CSV."""
    assert mark in run("compare", "--tag", "v1", "--format", form).stdout


def test_the_direction_can_be_given_to_compare(ask, shelf):
    """Options go before what the name implies."""
    assert "temperature" not in ask("compare", "--tag", "v1")["best"]
    found = ask("compare", "--tag", "v1", "--minimize", "temperature")
    assert len(found["best"]["temperature"]) == 2


def test_compare_groups_runs(run, ask, shelf):
    """By a setting: how many, mean and spread."""
    pytest.importorskip("scipy")
    found = ask("compare", "--group-by", "lr", "--metric", "test_f1")
    assert [group["metrics"]["test_f1"]["n"] for group in found["groups"]] == [2]
    assert "0.85" in run("compare", "--group-by", "lr", "--metric", "test_f1").stdout


def test_diff_has_only_what_differs(ask, run, shelf):
    """Config, environment and metrics; 1 if there is anything, as diff(1)."""
    first, second = shelf["completed 0"], shelf["completed 1"]
    found = ask("diff", first, second, code=1)
    assert set(found) == {"experiments", "config", "environment", "metrics"}
    assert found["experiments"] == [first, second]
    assert found["config"] == {"seed": {first: 0, second: 1}}
    assert set(found["metrics"]) == {"test_f1", "test_loss"}
    assert ask("diff", first, first) == {"experiments": [first, first], "config": {}, "environment": {}, "metrics": {}}
    assert run("diff", first, first).stdout == "no differences\n"
    assert "seed" in run("diff", first, second).stdout


def test_diff_sees_another_environment(ask, shelf, manager):
    """Commit, packages and command line are what makes two runs different; the process id is not."""
    first, second = shelf["completed 0"], shelf["completed 1"]
    path = layout_of(manager.get_experiment(second)).environment
    environment = json.loads(path.read_text())
    environment |= {"argv": ["train.py", "--fast"], "pid": 1, "git": {"commit": "f" * 40}}
    environment["packages"] |= {"torch": "9.9"}
    path.write_text(json.dumps(environment))
    found = ask("diff", first, second, code=1)["environment"]
    assert found["packages.torch"] == {second: "9.9"}
    assert found["argv"][second] == ["train.py", "--fast"]
    assert found["git.commit"][second] == "f" * 40
    assert "pid" not in found


def test_best_knows_which_way_is_better(ask, run, shelf):
    """The name implies the direction, and a message says so; only completed ones take part."""
    found = ask("best", "--metric", "test_loss")
    assert (found["metric"], found["direction"]) == ("test_loss", "min")
    assert [entry["experiment_id"] for entry in found["experiments"]] == [shelf["completed 1"], shelf["completed 0"]]
    assert set(found["experiments"][0]) == ENTRY | {"rank", "value"}
    result = run("best", "--metric", "metrics.test_f1", "-n", "1")
    assert "highest test_f1 first" in result.stderr
    assert result.stdout.splitlines()[2].startswith(shelf["completed 1"])
    assert len(result.stdout.splitlines()) == 3


def test_best_does_not_guess(run, ask, shelf):
    """A name that implies no direction needs a flag, and a flag goes before any name."""
    result = run("best", "--metric", "temperature")
    assert result.exit_code == 2
    assert "--minimize or --maximize" in result.stderr
    assert ask("best", "--metric", "temperature", "--minimize")["direction"] == "min"
    assert ask("best", "--metric", "test_f1", "--minimize")["experiments"][0]["value"] == 0.8


def test_nan_is_never_best(run, ask, manager):
    """Nor is infinity, a truth value or a text."""
    for value in (float("nan"), 0.5, float("inf"), 0.7):
        with manager.experiment({"lr": value}, name="x") as exp:
            exp.save_final_metrics({"accuracy": value})
    assert [entry["value"] for entry in ask("best", "--metric", "accuracy", "-n", "0")["experiments"]] == [0.7, 0.5]
    assert run("best", "--metric", "accuracy", "config.lr > 5").exit_code == 1


# --- history --------------------------------------------------------------------------------------------------------


def test_history_gives_the_rows(ask, run, shelf):
    """As JSON and as CSV, of all metrics or of some."""
    rows = ask("history", shelf["failed"])
    assert [set(row) for row in rows] == [{"step", "time", "loss"}] * 2
    assert [row["loss"] for row in rows] == [1.0, "NaN"]
    table = list(csv.DictReader(io.StringIO(run("history", "@5", "val/f1", "--csv").stdout)))
    assert list(table[0]) == ["step", "time", "val/f1"]
    assert float(table[-1]["val/f1"]) == 0.95


def test_history_draws_each_metric(run, shelf):
    """Each has its last, least and largest value; values that cannot be drawn are counted."""
    text = run("history", "@5").stdout
    assert "loss  last 0.05  min 0.05  max 1" in text
    assert "val/f1  last 0.95" in text
    assert "not drawn: 1 not finite, first at 1" in run("history", shelf["failed"]).stdout
    assert "not above 0" in run("history", "@5", "val/f1", "--log").stdout


def test_history_takes_what_was_saved_as_a_whole(run, ask, manager):
    """The legacy API writes no live log, but a training history at the end."""
    manager.create_experiment({"lr": 1})
    manager.save_training_history({"loss": [3, 2, 1], "lr": [0.1, 0.1]})
    manager.mark_complete()
    assert ask("history", "latest")[-1] == {"step": 2, "loss": 1, "lr": None}
    assert "loss  last 1  min 1  max 3" in run("history").stdout


def test_history_of_text_alone_draws_nothing(run, manager):
    """What was logged is not always a number."""
    with manager.experiment({"lr": 1}) as exp:
        exp.log(phase="warm-up")
    assert "phase  no numbers" in run("history").stdout


# --- why ------------------------------------------------------------------------------------------------------------


def test_why_explains_a_failure(run, ask, shelf):
    """The error, the traceback, the last metrics, and what differs from the last that went well."""
    found = ask("why", shelf["failed"])
    assert set(found) == {
        "experiment_id", "status", "end_reason", "reason", "evidence", "failure", "traceback_path", "step", "metrics",
        "duration_s", "compared_with", "differences",
    }  # fmt: skip
    assert found["compared_with"] == shelf["completed 1"]
    assert found["differences"]["config"]["lr"] == {shelf["completed 1"]: 0.01, shelf["failed"]: 3}
    assert (found["step"], found["metrics"]) == (1, {"loss": "NaN"})
    text = run("why", shelf["failed"]).stdout
    for part in (
        "an exception ended it",
        "ValueError: the loss is NaN",
        'raise ValueError("the loss',
        "0.01 there, 3 here",
    ):
        assert part in text


def test_why_takes_the_latest_that_did_not_end_well(run, ask, shelf):
    """A process that was killed is explained by its evidence."""
    found = ask("why")
    assert found["experiment_id"] == shelf["killed"]
    assert (found["status"], found["end_reason"]) == ("interrupted", "vanished")
    assert "process" in found["evidence"]
    assert found["compared_with"] is None
    assert "no other one of its name has completed" in run("why").stdout


def test_why_shows_the_end_of_a_long_traceback(run, manager):
    """The innermost call is what matters."""

    def deep(level):
        if level == 0:
            raise RecursionError("at the bottom")
        deep(level - 1) if level % 2 else deep(level - 1)

    with pytest.raises(RecursionError), manager.experiment({"lr": 1}):
        deep(40)
    text = run("why").stdout
    assert "the last 15 of " in text
    assert "RecursionError: at the bottom" in text
    assert len(text.splitlines()) < 40


def test_there_is_not_always_something_to_explain(run, shelf, manager):
    """A completed one, and a base directory where all went well."""
    result = run("why", shelf["completed 0"])
    assert result.exit_code == 1
    assert "has completed" in result.stderr
    for status in ("failed", "killed", "hostile"):
        manager.delete_experiment(shelf[status])
    assert run("why").exit_code == 1


def test_the_progress_of_a_report_reaches_its_file(run, shelf, tmp_path):
    """`report` writes the given file and prints its path."""
    pytest.importorskip("runbook.pages.report")
    pytest.importorskip("plotly")
    target = tmp_path / "r.html"
    result = run("report", "@4", "@5", "-o", str(target))
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{target}\n"
    assert os.path.getsize(target) > 1000
    assert run("report", "--tag", "none", "-o", str(target)).exit_code == 1
