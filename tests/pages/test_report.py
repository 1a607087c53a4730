"""Writing reports: `runbook/report/writing.py`, `collecting.py`, `naming.py`, `environment.py` and `page.py`."""

from __future__ import annotations

import builtins
import json
import math
import re
import time

import pytest

from runbook import ExperimentManager, ExperimentNotFoundError, MissingExtraError, ReportTargetError
from runbook.pages.report import data as report_data
from runbook.pages.report import write_report
from runbook.pages.report.environment import environment_rows
from runbook.pages.report.labels import told_apart
from runbook.pages.report.page import json_block

pytest.importorskip("plotly")

HOSTILE = "</script><!--<script>alert(1)</script>&\u2028\u2029\ud800"


def data_of(path) -> dict:
    """What a report says, read as a browser reads it."""
    text = path.read_text(encoding="utf-8")
    (block,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    return json.loads(block)


def run(manager, name="run", metrics=None, points=3, **config):
    """One finished experiment."""
    with manager.experiment(config, name=name) as exp:
        for step in range(points):
            exp.log(loss=1 / (step + 1), step=step)
        if metrics:
            exp.save_final_metrics(metrics)
    return exp


def test_a_report_of_everything_has_all_experiments(manager, tmp_path):
    """The table lists each, the counts say what became of them."""
    run(manager, "one", {"f1": 0.5, "auc": math.inf}, lr=0.1)
    with pytest.raises(ValueError, match="broke"), manager.experiment({"lr": 0.2}, name="two"):
        raise ValueError("it broke")
    with manager.experiment({"lr": 0.3}, name="three"):
        path = manager.report(tmp_path / "report.html")
    data = data_of(path)
    assert path == tmp_path / "report.html"
    assert data["counts"] == {"running": 1, "completed": 1, "failed": 1}
    assert [row[1] for row in data["table"]["rows"]] == ["one", "two", "three"]
    assert data["table"]["settings"] == ["lr"]
    assert data["table"]["rows"][0][8] == [0.5, "Infinity"]
    assert [failure["failure"]["type"] for failure in data["failures"]] == ["ValueError"]
    assert "it broke" in data["failures"][0]["failure"]["traceback"]
    assert [one["status"] for one in data["experiments"]] == ["completed", "failed", "running"]
    assert [one["has_history"] for one in data["experiments"]] == [True, False, False]


def test_named_experiments_alone_are_in_it(manager, tmp_path):
    """Ids, beginnings of ids and names are understood, each experiment is there once."""
    first, second, _ = run(manager, "one"), run(manager, "two"), run(manager, "three")
    path = write_report(manager, ["one", first.id, second.id], str(tmp_path / "report.html"))
    assert [one["id"] for one in data_of(path)["experiments"]] == [first.id, second.id]
    assert "three" not in json.dumps(data_of(path)["table"])


def test_a_single_name_is_one_experiment_and_not_its_letters(manager, tmp_path):
    """A string where a list is expected means what it says."""
    run(manager, "one")
    assert data_of(write_report(manager, "one", tmp_path / "r.html"))["titles"] == ["one"]


def test_an_unknown_experiment_makes_no_report(manager, tmp_path):
    """The error names the nearest, and no file is left."""
    run(manager, "baseline")
    with pytest.raises(ExperimentNotFoundError, match="did you mean"):
        manager.report(tmp_path / "report.html", ["basline"])
    assert not (tmp_path / "report.html").exists()


def test_an_empty_base_directory_makes_a_report_that_says_so(manager, tmp_path):
    """Nothing is no error."""
    data = data_of(manager.report(tmp_path / "report.html"))
    assert data["counts"] == {}
    assert data["table"]["rows"] == []


@pytest.mark.parametrize(
    ("target", "words"),
    [("", "is a folder"), ("missing/report.html", "has no folder"), ("file/report.html", "has no folder")]
    + [("report.pdf", "is called .pdf, and a report is HTML"), ("report.JSON", "is called .JSON")],
)
def test_a_target_that_cannot_be_a_file_is_refused(manager, tmp_path, target, words):
    """The message names the place and what to do."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ReportTargetError, match=words) as caught:
        manager.report(tmp_path / target)
    assert isinstance(caught.value, OSError)
    assert "report.html" in str(caught.value)


@pytest.mark.slow
def test_a_former_report_is_replaced_whole_or_not_at_all(manager, tmp_path):
    """A report that fails leaves the one from before."""
    run(manager, "one")
    path = manager.report(tmp_path / "report.html")
    before = path.read_bytes()
    with pytest.raises(ExperimentNotFoundError):
        manager.report(path, ["nobody"])
    assert path.read_bytes() == before
    run(manager, "two")
    assert "two" in data_of(manager.report(path))["titles"]
    assert sorted(one.name for one in tmp_path.iterdir()) == ["experiments", "report.html"]


def test_without_plotly_the_error_says_what_to_install(manager, tmp_path, monkeypatch):
    """The command is in the message."""
    real = builtins.__import__

    def absent(name, *args, **kwargs):
        if name.partition(".")[0] == "plotly":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(MissingExtraError, match=r'pip install "runbook\[report\]"') as caught:
        manager.report(tmp_path / "report.html")
    assert isinstance(caught.value, ImportError)
    assert not (tmp_path / "report.html").exists()


def test_progress_counts_the_histories(manager, tmp_path):
    """It is told after each, up to all."""
    for _ in range(3):
        run(manager)
    calls = []
    manager.report(tmp_path / "report.html", progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_a_damaged_history_is_told_and_the_others_are_drawn(manager, tmp_path):
    """One broken file does not cost the report."""
    broken, _ = run(manager, "broken"), run(manager, "whole")
    (broken.metrics_dir / "history.jsonl").write_text('{"step": 0}\nnonsense\n{"step": 1}\n')
    (broken.logs_dir / "environment.json").write_text("[]")
    data = data_of(manager.report(tmp_path / "report.html"))
    first, second = data["experiments"]
    assert "line 2" in first["history_problem"]
    assert "damaged" in first["environment_problem"]
    assert second["has_history"]
    assert {curve["owner"] for curve in data["curves"]} == {1}


def test_a_damaged_record_is_shown_as_far_as_the_registry_knows_it(manager, tmp_path):
    """The report says what is left of it."""
    exp = run(manager, "broken")
    (exp.path / "experiment.json").write_text("{")
    data = data_of(manager.report(tmp_path / "report.html"))
    assert [row[0] for row in data["table"]["rows"]] == [exp.id]


def test_hostile_texts_cannot_leave_the_data(manager, tmp_path):
    """Names, settings, notes, metrics and errors are text in a block that they cannot end."""
    with pytest.raises(ValueError, match="alert"), manager.experiment({HOSTILE: HOSTILE}, name=HOSTILE) as exp:
        exp.log({HOSTILE: 1.0})
        exp.note(HOSTILE)
        exp.add_tags(HOSTILE)
        exp.save_final_metrics({HOSTILE: 1})
        raise ValueError(HOSTILE)
    path = manager.report(tmp_path / "report.html")
    text = path.read_text(encoding="utf-8")
    assert text.count("</script>") == 3
    assert "<!--" not in text
    assert data_of(path)["experiments"][0]["notes"] == HOSTILE


def test_json_block_is_the_same_data_without_dangerous_signs():
    """Whatever reads JSON reads the same."""
    block = json_block({"text": HOSTILE})
    assert not set("<>&\u2028\u2029") & set(block)
    assert json.loads(block) == {"text": HOSTILE}


def test_the_policy_allows_its_own_scripts_by_hash_and_nothing_else(manager, tmp_path):
    """No network, no inline handler, no eval; the same experiments make the same scripts."""
    text = manager.report(tmp_path / "report.html").read_text(encoding="utf-8")
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert re.fullmatch(r"'sha256-[\w+/=]+' 'sha256-[\w+/=]+'", rules["script-src"])
    assert rules["img-src"] == "data: blob:"
    assert set(rules) == {"default-src", "script-src", "style-src", "img-src", "base-uri", "form-action"}


@pytest.mark.slow
def test_fifty_experiments_of_a_thousand_points_stay_below_six_megabytes_unthinned(manager, tmp_path):
    """Five metrics each, and every point is there."""
    rows = [
        "".join(
            json.dumps(
                {
                    "step": step,
                    "time": "2026-01-31T12:00:00+00:00",
                    **{f"m{at}": math.sin(step * (at + seed + 1)) for at in range(5)},
                }
            )
            + "\n"
            for step in range(1_000)
        )
        for seed in range(5)
    ]
    for number in range(50):
        exp = run(manager, f"run{number // 5}", points=0, seed=number % 5, lr=number // 5)
        (exp.metrics_dir / "history.jsonl").write_text(rows[number % 5])
    path = manager.report(tmp_path / "report.html")
    data = data_of(path)
    assert path.stat().st_size < 6_000_000
    assert len(data["curves"]) == 250
    assert all(curve["shown"] == curve["logged"] == 1_000 for curve in data["curves"])
    assert len(data["groups"]) == 10


@pytest.mark.slow
def test_long_histories_and_large_pictures_stay_below_six_megabytes(manager, tmp_path):
    """Curves are thinned with their spikes, pictures are named, and the page says both."""
    for number in range(12):
        exp = run(manager, "run", points=0, lr=number)
        lines = [
            f'{{"step": {step * step}, "loss": {math.sin(step) / 3 if step != 7_777 else 99}}}'
            for step in range(20_000)
        ]
        (exp.metrics_dir / "history.jsonl").write_text("\n".join(lines) + "\n")
        (exp.results_dir / "a.png").write_bytes(b"x" * 900_000)
    path = manager.report(tmp_path / "report.html")
    data = data_of(path)
    assert path.stat().st_size < 6_000_000
    assert all(curve["shown"] <= data["limit"] < curve["logged"] == 20_000 for curve in data["curves"])
    problems = [picture.get("problem", "") for pictures in data["pictures"] for picture in pictures]
    assert any("the report is full" in problem for problem in problems)
    assert "" in problems


@pytest.mark.slow
def test_ten_thousand_experiments_make_a_page_with_all_of_them(base, tmp_path):
    """The table is whole; curves and details are those of the newest, and the page says so."""
    base.mkdir()
    entries = [
        {
            "experiment_id": f"20250101_{number // 3600 % 24:02}{number // 60 % 60:02}{number % 60:02}_run_{number:08x}",
            "timestamp": f"2025-01-01T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}",
            "status": "failed" if number % 100 == 0 else "completed",
            "custom_name": f"run {number}",
            "config": {"lr": number / 7, "seed": number, **{f"layer{at}": number * at for at in range(20)}},
            "metrics": {f"metric{at}": number / (at + 3) for at in range(10)},
        }
        for number in range(10_000)
    ]
    for entry in entries:
        (base / entry["experiment_id"]).mkdir()
    (base / "experiment_registry.json").write_text(json.dumps({"experiments": entries}))
    started = time.monotonic()
    path = ExperimentManager(base).report(tmp_path / "report.html")
    assert time.monotonic() - started < 60
    data = data_of(path)
    assert len(data["table"]["rows"]) == 10_000
    assert len(data["experiments"]) == 50
    assert data["titles"][-1] == "run 9999"
    assert path.stat().st_size < 6_000_000
    assert "newest 50 of 10,000" in " ".join(data["remarks"])
    assert "of 21 settings" in " ".join(data["remarks"])


def test_more_metrics_than_anybody_looks_at_are_cut_and_said(manager, tmp_path):
    """Charts are those that most experiments have."""
    with manager.experiment({}) as exp:
        exp.log({f"m{at}": at for at in range(200)})
    with manager.experiment({}) as exp:
        exp.log({"loss": 1, "m198": 2, "m199": 3})
    run(manager)
    data = data_of(manager.report(tmp_path / "report.html"))
    drawn = {curve["metric"] for curve in data["curves"]}
    assert len(drawn) == 60
    assert "Of 201 metrics" in " ".join(data["remarks"])
    # Two experiments have these, and one of the 200 others each; theirs came first.
    assert drawn >= {"loss", "m198", "m199"}


def test_the_table_has_the_metrics_that_most_experiments_have(manager, tmp_path):
    """Not those that come first; how many there are is said."""
    run(manager, "one", {f"m{at}": at for at in range(20)})
    run(manager, "two", {"m18": 1, "m19": 2, "z": 3})
    run(manager, "three", {"z": 1})
    data = data_of(manager.report(tmp_path / "report.html"))
    assert data["table"]["metrics"][:3] == ["m18", "m19", "z"]
    assert "The table has 12 of 21 metrics" in " ".join(data["remarks"])


def test_settings_that_most_experiments_have_come_before_the_metrics(manager, tmp_path):
    """At most six, those that differ most; what there is no room for is said, and never one experiment's own first."""
    for number in range(4):
        shared = {f"flag{at}": number > 0 for at in range(6)} | {"lr": number, "seed": number}
        own = {f"k{at}": at for at in range(300)} if number == 0 else {"dropout": 0.1} if number < 3 else {}
        run(manager, f"run {number}", {"f1": 0.5}, **own, **shared)
    data = data_of(manager.report(tmp_path / "report.html"))
    table = data["table"]
    assert table["settings"][: table["leading"]] == ["flag0", "flag1", "flag2", "flag3", "lr", "seed"]
    assert table["settings"][table["leading"] :] == ["flag4", "flag5", "dropout"]
    assert "The table has 9 of 309 settings" in " ".join(data["remarks"])
    few = data_of(manager.report(tmp_path / "few.html", ["run 2", "run 3"]))["table"]
    assert (few["settings"], few["leading"]) == (["lr", "seed", "dropout"], 2)


def test_seeds_make_groups_and_other_settings_do_not(manager, tmp_path):
    """Experiments that differ in nothing but the seed have a mean and a band."""
    for seed in (1, 2):
        for lr in (0.1, 0.2):
            run(manager, "run", lr=lr, seed=seed)
    data = data_of(manager.report(tmp_path / "report.html"))
    assert sorted(group["members"] for group in data["groups"]) == [[0, 2], [1, 3]]
    assert sorted(group["name"] for group in data["groups"]) == ["run · lr=0.1", "run · lr=0.2"]
    assert {(mean["metric"], "low" in mean) for mean in data["means"]} == {("loss", True)}


def test_what_is_drawn_has_the_first_colours(manager, tmp_path):
    """Experiments without a history take no colour from those that are to be told apart."""
    run(manager, points=0)
    run(manager)
    assert data_of(manager.report(tmp_path / "report.html"))["places"] == [1, 0]


def test_names_that_several_have_are_told_apart_by_settings_or_by_ids():
    """Few settings that differ are named; many, or none, leave the id."""
    assert told_apart(["a", "a"], [{"lr": 1, "x": 1}, {"lr": 2, "x": 1}], ["i", "j"]) == ["a · lr=1", "a · lr=2"]
    assert told_apart(["a", "a"], [{"lr": 1}, {"lr": 1}], ["i", "j"]) == ["a · i", "a · j"]
    many = [{f"k{at}": number for at in range(5)} for number in range(2)]
    assert told_apart(["a", "a", "b"], [*many, {}], ["i", "j", "k"]) == ["a · i", "a · j", "b"]


def test_an_environment_reads_as_people_say_it():
    """Lists become lines, git becomes a sentence, what is missing is left out."""
    git = {"commit": "abc", "branch": "main", "dirty": True, "untracked": ["a"], "remote": None}
    rows, packages = environment_rows(
        {"python": "3.11", "argv": ["a.py", "--x"], "git": git, "gpus": [], "packages": {"b": "2", "a": "1"}}
    )
    assert rows == [
        ["Python", "3.11"],
        ["Command line", "a.py --x"],
        ["Git", "abc on main, with uncommitted changes, 1 untracked file"],
    ]
    assert packages == ["a==1", "b==2"]
    assert environment_rows({"git": {}, "packages": 3}) == ([["Git", "no commit yet, clean"]], [])


def test_importing_runbook_does_not_import_the_report():
    """Whoever only tracks pays nothing for it."""
    import subprocess
    import sys

    code = "import runbook, sys; runbook.ExperimentManager; assert not [m for m in sys.modules if 'report' in m or 'plotly' in m]"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_best_of_a_metric_is_marked_where_its_name_says_which_way(manager, tmp_path):
    """Losses are best when low; of a metric without a direction, and of one that all share, none is marked."""
    run(manager, "one", {"val_loss": 0.5, "f1": 0.9, "width": 3, "acc": 1.0})
    run(manager, "two", {"val_loss": 0.4, "f1": math.nan, "width": 9, "acc": 1.0})
    run(manager, "three", {"val_loss": math.inf, "f1": 0.8, "acc": 1.0})
    table = data_of(manager.report(tmp_path / "report.html"))["table"]
    assert dict(zip(table["metrics"], table["best"], strict=True)) == {
        "val_loss": {"direction": "min", "rows": [1]},
        "f1": {"direction": "max", "rows": [0]},
        "width": None,
        "acc": None,
    }


@pytest.mark.slow
def test_configs_of_any_size_fit(manager, tmp_path):
    """Long settings are cut, many are counted, and the page says so."""
    for number in range(20):
        run(manager, points=1, **{f"setting {at} {'k' * 300}": f"{number} {'v' * 3_000}" for at in range(400)})
    path = manager.report(tmp_path / "report.html")
    data = data_of(path)
    assert path.stat().st_size < 6_000_000
    assert data["experiments"][0]["settings"] == 400
    assert len(data["experiments"][0]["config"]) < 400
    assert "Of each config at most" in " ".join(data["remarks"])


def test_long_tracebacks_keep_their_end(manager, tmp_path):
    """The innermost call is what people look for."""
    with pytest.raises(ValueError, match="end of it"), manager.experiment({}):
        raise ValueError("x" * 50_000 + "the end of it")
    (failure,) = data_of(manager.report(tmp_path / "report.html"))["failures"]
    assert failure["failure"]["traceback"].endswith("the end of it\n")
    assert "characters left out" in failure["failure"]["traceback"][:60]
    assert len(failure["failure"]["message"]) == 2_000


def test_of_many_failures_the_newest_are_told(manager, tmp_path, monkeypatch):
    """Nobody looks for the oldest; how many there are is said."""
    monkeypatch.setattr(report_data, "_MOST_FAILURES", 2)
    for name in ("first", "second", "third"):
        with pytest.raises(ValueError, match=name), manager.experiment({}, name=name):
            raise ValueError(name)
    run(manager, points=0)
    data = data_of(manager.report(tmp_path / "report.html"))
    assert [failure["name"] for failure in data["failures"]] == ["third", "second"]
    assert "Of 3 failed and interrupted experiments the newest 2 are told" in " ".join(data["remarks"])


def test_an_older_failure_is_told_as_well(manager, tmp_path):
    """Whoever failed before the newest fifty has a traceback in the page all the same."""
    with pytest.raises(ValueError, match="early"), manager.experiment({}, name="first"):
        raise ValueError("early")
    for _ in range(51):
        run(manager, points=0)
    data = data_of(manager.report(tmp_path / "report.html"))
    assert len(data["experiments"]) == 50
    assert [failure["name"] for failure in data["failures"]] == ["first"]
