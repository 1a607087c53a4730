"""Every example runs as its reader would run it, and leaves on disk what it promises."""

from __future__ import annotations

import csv
import json
import os
import pickle
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs
import pytest

pytest.importorskip("sklearn", reason="the examples train scikit-learn models")

REPOSITORY = Path(__file__).parents[2]
EXAMPLES = REPOSITORY / "examples"


def strict_json(path: Path) -> Any:
    """Parse as RFC 8259 wants it: a bare NaN is an error."""

    def refuse(constant: str) -> None:
        raise ValueError(f"{path} holds {constant}, which is no JSON")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def json_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@attrs.frozen
class Run:
    """What one execution of an example printed and left behind."""

    exit_code: int
    out: str
    err: str
    base: Path

    @property
    def entries(self) -> list[dict[str, Any]]:
        return strict_json(self.base / "experiment_registry.json")["experiments"]

    def folder(self, entry: dict[str, Any]) -> Path:
        return self.base / entry["experiment_id"]

    def check_shelf(self) -> None:
        """Registry, folders and records tell the same story."""
        folders = {path.name for path in self.base.iterdir() if (path / "experiment.json").is_file()}
        assert folders == {entry["experiment_id"] for entry in self.entries}
        for entry in self.entries:
            folder = self.folder(entry)
            record = strict_json(folder / "experiment.json")
            for field in (
                "experiment_id",
                "status",
                "end_reason",
                "custom_name",
                "metrics",
                "tags",
                "parent",
            ):
                assert record[field] == entry[field], field
            assert strict_json(folder / "config.json") == entry["config"]
            assert moment(entry["timestamp"]) <= moment(entry["completed_at"])
            assert all((folder / name).is_dir() for name in ("checkpoints", "results", "metrics", "logs"))

    def check_summary(self) -> None:
        """The table has a row for each experiment; a cell that is too wide goes on in the next line."""
        rows = self.out.splitlines()
        for entry in self.entries:
            (row,) = [row for row in rows if entry["experiment_id"][:30] in row]
            assert entry["status"] in row
        assert f"{len(self.entries)}experimentsin{self.base}:" in "".join(self.out.split())

    def check_success(self) -> None:
        """It ended well and printed no warning."""
        assert self.exit_code == 0, self.err
        assert self.err == ""
        self.check_shelf()


@pytest.fixture(scope="module")
def run_example(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Run]]:
    """Run an example with this interpreter in an empty folder, its warnings being errors."""

    def run(name: str, *arguments: str | Path, base: Path | None = None) -> Run:
        work = tmp_path_factory.mktemp("work")
        base = base or tmp_path_factory.mktemp("base") / "runs"
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("RUNBOOK_")},
            "RUNBOOK_DIR": str(base),
            "PYTHONWARNINGS": "error",
            # The models are small: threads of their linear algebra would only wait for each other.
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "PYTHONIOENCODING": "utf-8",
        }
        process = subprocess.run(
            [sys.executable, EXAMPLES / name, *arguments],
            cwd=work,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        assert list(work.iterdir()) == [], "RUNBOOK_DIR did not redirect everything"
        return Run(process.returncode, process.stdout, process.stderr, base)

    yield run


def test_quickstart_keeps_four_trainings_and_prints_them(run_example):
    """Four completed experiments with a history of every epoch, whose last line is the final result."""
    run = run_example("quickstart.py")
    run.check_success()
    run.check_summary()
    assert [entry["custom_name"] for entry in run.entries] == [
        "digits_lr0.0001",
        "digits_lr0.001",
        "digits_lr0.01",
        "digits_lr0.1",
    ]
    for entry in run.entries:
        assert entry["status"] == "completed"
        assert entry["end_reason"] == "returned"
        assert entry["tags"] == ["quickstart"]
        history = json_lines(run.folder(entry) / "metrics" / "history.jsonl")
        assert [line["step"] for line in history] == list(range(entry["config"]["epochs"]))
        final = strict_json(run.folder(entry) / "metrics" / "final_summary.json")
        assert final == entry["metrics"]
        assert final == {name: history[-1][name] for name in ("val_accuracy", "val_loss")}
    losses = [entry["metrics"]["val_loss"] for entry in run.entries]
    assert losses == sorted(losses, reverse=True)
    assert run.entries[-1]["metrics"]["val_accuracy"] > 0.9


def test_the_sweep_keeps_the_good_runs_and_the_bad_ones(run_example):
    """Twelve completed trainings, one that diverged and one that Ctrl-C stopped, with the same numbers everywhere."""
    run = run_example("sweep.py")
    run.check_success()
    assert run.out == "diverged: the loss is nan after epoch 6\nstopped by Ctrl-C\n"
    *completed, diverged, stopped = run.entries
    assert {(entry["status"], entry["end_reason"]) for entry in completed} == {("completed", "returned")}
    assert [entry["experiment_id"][-8:] for entry in (completed[0], completed[-1])] == ["23fe1726", "5b71004a"]
    f1 = [round(entry["metrics"]["test_f1"], 4) for entry in completed]
    assert f1 == [0.7059, 0.6797, 0.776, 0.7541, 0.828, 0.8498, 0.8328, 0.8408, 0.8302, 0.8535, 0.8339, 0.825]
    for entry in completed:
        predictions = strict_json(run.folder(entry) / "results" / "predictions.json")
        assert {len(predictions["y_true"]), len(predictions["y_pred"])} == {300}
        assert len(json_lines(run.folder(entry) / "metrics" / "history.jsonl")) == 15
    assert (diverged["status"], diverged["end_reason"]) == ("failed", "exception")
    assert diverged["notes"] == "try a lower learning rate"
    assert (stopped["status"], stopped["end_reason"]) == ("interrupted", "keyboard")
    assert len(json_lines(run.folder(stopped) / "metrics" / "history.jsonl")) == 7


def test_decorated_training_keeps_the_failed_run_as_failed(run_example):
    """The arguments are the config, the returned numbers the metrics, and the diverged run is on record."""
    run = run_example("decorated_training.py")
    run.check_success()
    good, better, diverged = run.entries
    for entry in (good, better):
        assert (entry["status"], entry["end_reason"]) == ("completed", "returned")
        assert set(entry["metrics"]) == {"loss", "val_r2"}
        history = json_lines(run.folder(entry) / "metrics" / "history.jsonl")
        assert len(history) == 40
        assert history[-1]["loss"] == entry["metrics"]["loss"]
        assert f"R² {entry['metrics']['val_r2']:.3f}" in run.out
    assert good["config"] == {"learning_rate": 0.0003, "epochs": 40, "seed": 0}
    assert "train" in strict_json(run.folder(good) / "experiment.json")["function"]

    assert (diverged["status"], diverged["end_reason"]) == ("failed", "exception")
    assert diverged["config"]["learning_rate"] == 2.0
    history = json_lines(run.folder(diverged) / "metrics" / "history.jsonl")
    steps = len(history)
    assert 0 < steps < 40
    assert diverged["metrics"] == {name: history[-1][name] for name in ("loss", "val_r2")}
    failure = strict_json(run.folder(diverged) / "experiment.json")["failure"]
    assert failure["type"].endswith("FloatingPointError")
    assert f"learning rate 2.0: {failure['message']}" in run.out
    assert f"{diverged['experiment_id']} failed after {steps} epochs" in run.out
    assert failure["message"] in (run.folder(diverged) / "logs" / "traceback.txt").read_text(encoding="utf-8")


def test_async_evaluation_logs_into_the_right_experiment(run_example):
    """Four evaluations overlap, and the batches of each are in its own history."""
    run = run_example("async_evaluation.py")
    run.check_success()
    run.check_summary()
    assert sorted(entry["config"]["noise"] for entry in run.entries) == [0.0, 0.2, 0.4, 0.8]
    started = [moment(entry["timestamp"]) for entry in run.entries]
    ended = [moment(entry["completed_at"]) for entry in run.entries]
    assert max(started) <= min(ended)
    accuracies = []
    for entry in sorted(run.entries, key=lambda entry: entry["config"]["noise"]):
        assert (entry["status"], entry["end_reason"]) == ("completed", "returned")
        assert entry["custom_name"] == "robustness"
        assert entry["parent"] is None
        history = json_lines(run.folder(entry) / "metrics" / "history.jsonl")
        batches = [line["batch_accuracy"] for line in history]
        assert len(batches) == 9  # 450 test images in batches of 50
        assert sum(batches) / 9 == pytest.approx(entry["metrics"]["accuracy"])
        assert f"noise {entry['config']['noise']}: accuracy {entry['metrics']['accuracy']:.3f}\n" in run.out
        accuracies.append(entry["metrics"]["accuracy"])
    assert accuracies == sorted(accuracies, reverse=True)
    assert accuracies[-1] < accuracies[0]


@pytest.mark.parametrize("start_method", ["spawn", "fork", "forkserver"])
def test_sweep_in_processes_loses_no_experiment(run_example, start_method):
    """Nine trainings by workers of any start method are all there, and printed from best to worst."""
    run = run_example("multiprocessing_sweep.py", "--workers", "2", "--start-method", start_method)
    run.check_success()
    settings = {(entry["config"]["kernel"], entry["config"]["regularization"]) for entry in run.entries}
    assert len(run.entries) == len(settings) == 9
    assert {entry["status"] for entry in run.entries} == {"completed"}
    first, *ranked = run.out.splitlines()
    assert {word.strip() for word in first.split(":")[1].split(",")} == {"kernel", "regularization"}
    printed = {line.split()[-1]: float(line.split()[0]) for line in ranked}
    assert list(printed.values()) == sorted(printed.values(), reverse=True)
    assert printed == {
        entry["experiment_id"]: pytest.approx(entry["metrics"]["val_accuracy"], abs=5e-5) for entry in run.entries
    }


@pytest.fixture
def old_checkpoints(tmp_path: Path) -> Path:
    """The folder of the old system: two models, one with its settings, and a loose file."""
    folder = tmp_path / "checkpoints"
    (folder / "best_model" / "weights").mkdir(parents=True)
    (folder / "best_model" / "weights" / "part.bin").write_bytes(bytes(range(256)))
    (folder / "best_model" / "config.json").write_text('{"learning_rate": 0.00005, "seed": 7}', encoding="utf-8")
    (folder / "final_model").mkdir()
    (folder / "final_model" / "model.bin").write_bytes(b"\0weights")
    (folder / "training_state.pt").write_bytes(b"state")
    return folder


def test_migration_copies_each_model_once(run_example, old_checkpoints):
    """A second run imports only what is new, and the old folder stays as it is, byte for byte."""
    before = content(old_checkpoints)
    run = run_example("migrate_old_checkpoints.py", "--checkpoints", old_checkpoints)
    run.check_success()
    assert [entry["custom_name"] for entry in run.entries] == ["best_model", "final_model"]
    for entry in run.entries:
        name = entry["custom_name"]
        assert entry["status"] == "completed"
        assert entry["tags"] == ["legacy"]
        assert entry["description"] == "Migrated from old checkpoint system"
        assert str(old_checkpoints / name) in entry["notes"]
        assert content(run.folder(entry) / "checkpoints" / name) == content(old_checkpoints / name)
        assert f"{name}: imported as {entry['experiment_id']}" in run.out
    assert run.entries[0]["config"]["learning_rate"] == 0.00005
    assert run.entries[1]["config"]["model_name"] == "final_model"
    assert content(old_checkpoints) == before

    (old_checkpoints / "late_model").mkdir()
    again = run_example("migrate_old_checkpoints.py", "--checkpoints", old_checkpoints, base=run.base)
    again.check_success()
    assert [entry["custom_name"] for entry in again.entries] == ["best_model", "final_model", "late_model"]
    assert again.out.count("imported before") == 2


def test_migration_repeats_a_model_whose_copy_failed(run_example, old_checkpoints):
    """An incomplete copy is kept as failed and does not count as imported."""
    broken = old_checkpoints / "final_model" / "gone.bin"
    broken.symlink_to(old_checkpoints / "nowhere")
    run = run_example("migrate_old_checkpoints.py", "--checkpoints", old_checkpoints)
    assert run.exit_code == 1
    assert "shutil.Error" in run.err
    run.check_shelf()
    assert [entry["status"] for entry in run.entries] == ["completed", "failed"]

    broken.unlink()
    again = run_example("migrate_old_checkpoints.py", "--checkpoints", old_checkpoints, base=run.base)
    again.check_success()
    assert [entry["status"] for entry in again.entries] == ["completed", "failed", "completed"]
    assert content(again.folder(again.entries[2]) / "checkpoints") == {
        f"final_model/{name}": data for name, data in content(old_checkpoints / "final_model").items()
    }


def test_migration_without_the_old_folder_explains_itself(run_example, tmp_path):
    """The message names the folder and the option, and no experiment is made."""
    run = run_example("migrate_old_checkpoints.py", "--checkpoints", tmp_path / "missing")
    assert run.exit_code == 2
    assert str(tmp_path / "missing") in run.err
    assert "--checkpoints" in run.err
    assert not run.base.exists()


COLUMNS = ["", "count", "hate_speech", "offensive_language", "neither", "class", "tweet"]
POSITIVE_WORDS = "thunderstorm hailstone blizzard cyclone lightning avalanche".split()
NEGATIVE_WORDS = "sunbeam meadow picnic rainbow lemonade daisy".split()
OTHER_WORDS = 'the on a today, we saw and then café\nnext "week" again'.split(" ")


@pytest.fixture(scope="module")
def made_up_tweets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Neutral sentences about the weather in the format of the data set, with commas, quotes and line breaks."""
    dice = random.Random(0)
    path = tmp_path_factory.mktemp("data") / "labeled_data.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for row in range(900):
            label = dice.choices([0, 1, 2], [1, 5, 4])[0]
            typical, rare = (NEGATIVE_WORDS, POSITIVE_WORDS) if label == 2 else (POSITIVE_WORDS, NEGATIVE_WORDS)
            words = dice.choices(OTHER_WORDS, k=4) + dice.choices(typical, k=2) + dice.choices(rare, k=1)
            words.append(dice.choice(["woman", "men", "old", "White", "blackboard", ""]))
            dice.shuffle(words)
            votes = {"count": 3, "hate_speech": 0, "offensive_language": 0, "neither": 0}
            votes[("hate_speech", "offensive_language", "neither")[label]] = 3
            writer.writerow({"": row, **votes, "class": label, "tweet": " ".join(words)})
    return path


@pytest.fixture(scope="module")
def weather_run(run_example: Callable[..., Run], made_up_tweets: Path) -> Run:
    """The hate-speech pipeline on the made-up data."""
    return run_example("hate_speech_pipeline.py", "--data", made_up_tweets, "--epochs", "4")


def check_pipeline(run: Run, *, epochs: int, tests: int) -> dict[str, Any]:
    """Check what the pipeline leaves behind on any data, and return its registry entry."""
    run.check_success()
    (entry,) = run.entries
    folder = run.folder(entry)
    assert (entry["status"], entry["custom_name"]) == ("completed", "davidson_bag_of_words")
    assert entry["config"]["epochs"] == epochs
    assert Path(entry["config"]["save_dir"]) == folder / "checkpoints"
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {"best_model", "final_model"}

    history = strict_json(folder / "metrics" / "training_history.json")
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert {len(values) for values in history.values()} == {epochs}
    assert history["loss"][-1] < history["loss"][0]

    results = pickle.loads((folder / "results" / "test_predictions.pkl").read_bytes())
    assert len(results["probabilities"]) == tests
    assert results["attentions"].shape[0] == tests
    eraser = json_lines(folder / "results" / "eraser_formatted_results.jsonl")
    assert [line["annotation_id"] for line in eraser] == [f"tweet-{row}" for row in results["ids"]]

    summary = strict_json(folder / "metrics" / "final_summary.json")
    assert (
        summary["gmb_metrics"].items() <= strict_json(folder / "metrics" / "bias_metrics.json")["gmb_metrics"].items()
    )
    assert strict_json(folder / "metrics" / "xai_metrics.json") == summary["xai_metrics"]
    assert entry["metrics"] == {
        "test_accuracy": summary["test_accuracy"],
        "test_f1": summary["test_f1"],
        **{f"gmb_metrics.{name}": value for name, value in summary["gmb_metrics"].items()},
        **{f"xai_metrics.{name}": value for name, value in summary["xai_metrics"].items()},
    }
    for name, value in (summary["gmb_metrics"] | summary["xai_metrics"]).items():
        assert f"{name} {float(value):.4f}" in " ".join(run.out.split())
    return entry


def test_hate_speech_pipeline_keeps_all_seven_steps(weather_run):
    """History, predictions, bias, rationales, summary and checkpoints of one completed experiment."""
    entry = check_pipeline(weather_run, epochs=4, tests=270)
    assert entry["metrics"]["test_accuracy"] > 0.8
    assert entry["metrics"]["xai_metrics.comprehensiveness"] > 0.1
    details = strict_json(weather_run.folder(entry) / "metrics" / "bias_metrics.json")["bias_details"]
    assert set(details["subgroups"]) == {"female", "male", "old", "white"}
    assert "black" in details["left_out"]  # a blackboard mentions nobody


def test_hate_speech_pipeline_prints_and_keeps_no_tweet(weather_run, made_up_tweets):
    """No word of the texts is printed or stored outside of the model's vocabulary."""
    checkpoints = weather_run.folder(weather_run.entries[0]) / "checkpoints"
    words = [word.encode() for word in POSITIVE_WORDS + NEGATIVE_WORDS]
    stored = {path: path.read_bytes() for path in weather_run.base.rglob("*") if path.is_file()}
    assert len(stored) > 8
    for word in words:
        assert word in made_up_tweets.read_bytes()
        assert word not in weather_run.out.encode()
        assert [path for path, data in stored.items() if word in data and checkpoints not in path.parents] == []


def test_hate_speech_checkpoint_repeats_the_saved_predictions(weather_run, made_up_tweets):
    """The final model, loaded again, gives the probabilities that were saved."""
    joblib = pytest.importorskip("joblib")
    folder = weather_run.folder(weather_run.entries[0])
    model = joblib.load(folder / "checkpoints" / "final_model" / "model.joblib")
    results = pickle.loads((folder / "results" / "test_predictions.pkl").read_bytes())
    with made_up_tweets.open(encoding="utf-8", newline="") as file:
        texts = {int(row[""]): row["tweet"] for row in csv.DictReader(file)}
    counts = model["vectorizer"].transform([texts[row] for row in results["ids"]])
    assert model["linear"].predict_proba(counts)[:, 1] == pytest.approx(results["probabilities"])


def test_hate_speech_pipeline_repeats_itself(run_example, weather_run, made_up_tweets):
    """The same data and settings give the same numbers, and a second experiment beside the first."""
    again = run_example("hate_speech_pipeline.py", "--data", made_up_tweets, "--epochs", "4")
    check_pipeline(again, epochs=4, tests=270)
    assert again.entries[0]["metrics"] == weather_run.entries[0]["metrics"]


def test_hate_speech_pipeline_without_any_large_subgroup_says_so(run_example, made_up_tweets):
    """On a small sample every group is left out: the means are NaN, written as strict JSON."""
    run = run_example("hate_speech_pipeline.py", "--data", made_up_tweets, "--epochs", "1", "--limit", "100")
    run.check_success()
    (entry,) = run.entries
    summary = strict_json(run.folder(entry) / "metrics" / "final_summary.json")
    assert summary["gmb_metrics"]["gmb_bpsn_auc"] == "NaN"
    assert summary["gmb_metrics"]["overall_auc"] == entry["metrics"]["gmb_metrics.overall_auc"]
    assert entry["config"]["limit"] == 100
    assert "left out, with fewer than 10 of one kind: female" in run.out


@pytest.mark.parametrize("given", [True, False], ids=["missing file", "no option"])
def test_hate_speech_pipeline_without_data_says_where_to_get_it(run_example, tmp_path, given):
    """The usage error names the option, and for a missing file the public repository; no experiment is made."""
    arguments = ["--data", tmp_path / "absent.csv"] if given else []
    run = run_example("hate_speech_pipeline.py", *arguments)
    assert run.exit_code == 2
    assert "--data" in run.err
    if given:
        assert str(tmp_path / "absent.csv") in run.err
        assert "t-davidson/hate-speech-and-offensive-language" in run.err
    assert not run.base.exists()


def test_hate_speech_pipeline_on_a_sample_of_the_real_tweets(run_example):
    """On real language a sample already gives a useful model and faithful rationales."""
    default = REPOSITORY.parent / "shared" / "data" / "davidson" / "labeled_data.csv"
    data = Path(os.environ.get("RUNBOOK_DAVIDSON_CSV", default))
    if not data.is_file():
        pytest.skip(f"Davidson's tweets are not at {data}; set RUNBOOK_DAVIDSON_CSV")
    run = run_example("hate_speech_pipeline.py", "--data", data, "--limit", "4000", "--epochs", "3")
    entry = check_pipeline(run, epochs=3, tests=1200)
    assert entry["metrics"]["test_accuracy"] > 0.85
    assert entry["metrics"]["gmb_metrics.overall_auc"] > 0.85
    assert entry["metrics"]["xai_metrics.comprehensiveness"] > entry["metrics"]["xai_metrics.sufficiency"]


def size_of_png(path: Path) -> tuple[int, int]:
    """Width and height, from the header of the file."""
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    return int.from_bytes(data[16:20]), int.from_bytes(data[20:24])


def test_the_picture_of_the_report_is_small_enough_for_a_page():
    """The README shows the file that is in the repository."""
    picture = EXAMPLES / "report.png"
    assert size_of_png(picture)[0] == 1280
    assert picture.stat().st_size < 200_000


def test_the_picture_of_the_report_can_be_made_anew(run_example, tmp_path):
    """With a browser on the path it has the same size, and the base directory of the shell stays as it is."""
    for library in ("plotly", "PIL"):
        pytest.importorskip(library)
    if not (shutil.which("chromium") or shutil.which("chromium-browser")):
        pytest.skip("no chromium on this machine")
    run = run_example("report_picture.py", "--output", tmp_path / "report.png")
    assert run.exit_code == 0, run.err
    assert size_of_png(tmp_path / "report.png") == size_of_png(EXAMPLES / "report.png")
    assert not run.base.exists()


def test_every_example_is_run_here():
    """A new example brings its test; the tour of the pages has a test file of its own."""
    source = Path(__file__).read_text(encoding="utf-8")
    names = {path.name for path in EXAMPLES.glob("*.py")} - {"tour.py"}
    assert [name for name in names if f'run_example("{name}"' not in source] == []
    assert "tour.py" in Path(__file__).with_name("test_console_blocks.py").read_text(encoding="utf-8")
