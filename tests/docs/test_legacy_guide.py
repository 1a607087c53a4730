"""The guide of the system that is continued: its programs run, and what its tool left on disk is read and kept."""

from __future__ import annotations

import json
import math
import os
import pickle
import random
import re
import shutil
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import pytest

from runbook import EndReason, ExperimentManager, Status
from runbook.read.view import record_of
from runbook.run import lifecycle
from runbook.run.endings import ABANDONED

# --- what a user of the guide has ------------------------------------------------------------------------------------


@dataclass
class TrainingConfig:
    """The user's own config."""

    model_name: str = "distilbert-base-uncased"
    learning_rate: float = 2e-5
    batch_size: int = 16
    num_epochs: int = 3
    save_dir: str = "./checkpoints"


class HateClassifier:
    """The user's own model: it writes where its config said when it was made."""

    def __init__(self, config):
        self.config = config
        self.save_dir = config.save_dir

    def train(self, train_loader, val_loader):
        folder = Path(self.save_dir) / "best_model"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "weights.json").write_text(json.dumps([len(train_loader), len(val_loader)]))
        epochs = range(self.config.num_epochs)
        return {
            "train_loss": [1 / (epoch + 1) for epoch in epochs],
            "val_loss": [1.5 / (epoch + 1) for epoch in epochs],
            "val_f1": [0.5 + epoch / 10 for epoch in epochs],
        }

    def predict(self, loader, return_attentions=False):
        rng = random.Random(0)
        labels = [row["label"] for row in loader]
        predictions = [label if rng.random() < 0.8 else 1 - label for label in labels]
        right = sum(one == two for one, two in zip(labels, predictions, strict=True))
        return {
            "predictions": predictions,
            "labels": labels,
            "attentions": [[0.5, 0.5] for _ in labels] if return_attentions else None,
            "accuracy": right / len(labels),
            "f1": right / len(labels),
        }


class Calculator:
    """The user's own faithfulness metrics."""

    def compute_all_metrics(self, *_):
        return {"comprehensiveness": 0.31, "sufficiency": 0.12, "auprc": float("nan")}


def calculate_gmb_metrics(*_):
    """The user's own bias metrics."""
    return {"gmb_subgroup_auc": 0.84, "gmb_bpsn_auc": 0.81, "gmb_bnsp_auc": 0.88}, {"women": {"subgroup_auc": 0.8}}


def loader(count):
    return [{"text": f"tweet {n}", "label": n % 2} for n in range(count)]


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """The user's working directory, with an old checkpoint in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "checkpoints" / "best_model").mkdir(parents=True)
    (tmp_path / "checkpoints" / "best_model" / "weights.bin").write_bytes(b"old weights")
    yield tmp_path
    for life in list(lifecycle.open_here()):
        life.close(ending=ABANDONED)


def train_one(manager, name, f1=0.87):
    """A finished experiment, as the guide's pipeline leaves it."""
    config = TrainingConfig()
    folder = manager.create_experiment(config=config, custom_name=name)
    manager.save_final_metrics({"test_accuracy": 0.89, "test_f1": f1})
    manager.mark_complete()
    return folder


# --- each block of the guide, as a user would have it ----------------------------------------------------------------


def test_basic_usage(desk):
    """Quick start: create, train, save, mark."""
    config = TrainingConfig()
    train_loader, val_loader, test_results = loader(8), loader(4), {"predictions": [1, 0]}

    experiment_manager = ExperimentManager(base_dir="./experiments")
    experiment_dir = experiment_manager.create_experiment(
        config=config,
        custom_name="baseline_model",
        description="Baseline distilbert with standard hyperparameters",
    )
    model = HateClassifier(config)
    history = model.train(train_loader, val_loader)
    experiment_manager.save_training_history(history)
    experiment_manager.save_predictions(test_results)
    experiment_manager.mark_complete(status="completed")

    assert experiment_dir.parent == desk / "experiments"
    assert (experiment_dir / "checkpoints" / "best_model" / "weights.json").is_file()
    assert json.loads((experiment_dir / "metrics" / "training_history.json").read_text()) == history
    assert pickle.loads((experiment_dir / "results" / "test_predictions.pkl").read_bytes()) == test_results
    (entry,) = experiment_manager.list_experiments()
    assert (entry["status"], entry["custom_name"]) == ("completed", "baseline_model")
    assert entry["config"]["learning_rate"] == 2e-5


def test_the_full_pipeline(desk):
    """The seven steps, and the tree that the guide draws."""
    config = TrainingConfig()
    rationales = desk / "rationales.jsonl"
    rationales.write_text('{"annotation_id": "1", "rationales": []}\n')

    experiment_manager = ExperimentManager()
    experiment_dir = experiment_manager.create_experiment(
        config=config, custom_name="multi_layer_test", description="Testing multi-layer loss approach"
    )
    model = HateClassifier(config)
    history = model.train(loader(8), loader(4))
    experiment_manager.save_training_history(history)
    results = model.predict(loader(50), return_attentions=True)
    experiment_manager.save_predictions(results)
    gmb_metrics, bias_details = calculate_gmb_metrics(results)
    experiment_manager.save_bias_metrics(gmb_metrics, bias_details)
    xai_results = Calculator().compute_all_metrics(results)
    experiment_manager.save_xai_metrics(xai_results)
    experiment_manager.save_eraser_results(rationales)
    final_summary = {
        "test_accuracy": float(results["accuracy"]),
        "test_f1": float(results["f1"]),
        "gmb_metrics": gmb_metrics,
        "xai_metrics": xai_results,
    }
    experiment_manager.save_final_metrics(final_summary)
    experiment_manager.mark_complete(status="completed")

    files = {path.relative_to(experiment_dir).as_posix() for path in experiment_dir.rglob("*")}
    assert {
        "config.json",
        "checkpoints/best_model",
        "results/test_predictions.pkl",
        "results/eraser_formatted_results.jsonl",
        "metrics/training_history.json",
        "metrics/bias_metrics.json",
        "metrics/xai_metrics.json",
        "metrics/final_summary.json",
        "logs",
    } <= files
    (entry,) = experiment_manager.list_experiments(status="completed")
    assert entry["metrics"]["test_f1"] == results["f1"]
    assert entry["metrics"]["gmb_metrics.gmb_bpsn_auc"] == 0.81
    assert math.isnan(entry["metrics"]["xai_metrics.auprc"])
    assert final_summary["xai_metrics"] is xai_results


def test_ids_have_the_guides_form(desk):
    """`20241216_143052_baseline_a1b2c3d4`."""
    folder = train_one(ExperimentManager(), "baseline")
    assert re.fullmatch(r"\d{8}_\d{6}_baseline_[0-9a-f]{8}", folder.name)


def test_the_registry_has_the_guides_form(desk):
    """Each field that the guide shows, under its name."""
    manager = ExperimentManager()
    folder = train_one(manager, "baseline_model")
    registry = json.loads((desk / "experiments" / "experiment_registry.json").read_text())
    (entry,) = registry["experiments"]
    assert list(entry)[0] == "experiment_id"
    assert entry["experiment_id"] == folder.name
    assert entry["directory"] == f"./experiments/{folder.name}"
    assert entry["status"] == "completed"
    assert datetime.fromisoformat(entry["timestamp"]) <= datetime.fromisoformat(entry["completed_at"])
    assert {"custom_name", "description", "config"} <= set(entry)


def test_queries(desk, capsys):
    """Summary, filters, and the path of one."""
    experiment_manager = ExperimentManager()
    folder = train_one(experiment_manager, "baseline")
    experiment_manager.create_experiment(TrainingConfig(), custom_name="broken")
    experiment_manager.mark_complete(status="failed", notes="CUDA out of memory")
    experiment_manager.print_experiment_summary()
    assert folder.name in capsys.readouterr().out
    completed = experiment_manager.list_experiments(status="completed")
    running = experiment_manager.list_experiments(status="running")
    failed = experiment_manager.list_experiments(status="failed")
    assert [len(found) for found in (completed, running, failed)] == [1, 0, 1]
    assert experiment_manager.get_experiment_path(folder.name).resolve() == folder.resolve()


def test_compare_and_export(desk, capsys):
    """The loop of the guide prints each F1; the export lies where it was asked for."""
    experiment_manager = ExperimentManager()
    one, two = train_one(experiment_manager, "baseline", 0.87), train_one(experiment_manager, "multilayer", 0.91)
    comparison = experiment_manager.compare_experiments([one.name, two.name])
    for exp in comparison["experiments"]:
        print(f"ID: {exp['experiment_id']}")
        print(f"F1: {exp['metrics']['test_f1']}")
        print(f"Accuracy: {exp['metrics']['test_accuracy']}")
    assert capsys.readouterr().out == (
        f"ID: {one.name}\nF1: 0.87\nAccuracy: 0.89\nID: {two.name}\nF1: 0.91\nAccuracy: 0.89\n"
    )
    experiment_manager.export_experiment(experiment_id=one.name, export_path="./shared_experiments")
    assert (desk / "shared_experiments" / one.name / "metrics" / "final_summary.json").is_file()


def test_notes(desk):
    """`mark_complete` with notes."""
    experiment_manager = ExperimentManager()
    experiment_manager.create_experiment(TrainingConfig())
    notes = "Best F1 score so far: 0.89. Model converged after 3 epochs."
    experiment_manager.mark_complete(status="completed", notes=notes)
    assert experiment_manager.list_experiments()[0]["notes"] == notes


def test_save_dir_is_updated_for_models_that_are_made_after(desk):
    """The order that the guide calls correct, and the one that it calls wrong."""
    experiment_manager = ExperimentManager()
    config = TrainingConfig()
    experiment_dir = experiment_manager.create_experiment(config=config)
    assert HateClassifier(config).save_dir == str(experiment_dir / "checkpoints")
    experiment_manager.mark_complete()
    config = TrainingConfig()
    model = HateClassifier(config)
    experiment_manager.create_experiment(config=config)
    experiment_manager.mark_complete()
    assert model.save_dir == "./checkpoints"


def test_the_registry_can_be_inspected_by_hand(desk):
    """The snippet of the troubleshooting section."""
    folder = train_one(ExperimentManager(), "baseline")
    with open("./experiments/experiment_registry.json") as f:
        registry = json.load(f)
    assert folder.name in json.dumps(registry, indent=2)


def test_an_old_checkpoint_can_be_migrated(desk):
    """The snippet of the migration section: the new folder takes the old one."""
    experiment_manager = ExperimentManager()
    old_checkpoint = "./checkpoints/best_model"
    new_exp_dir = experiment_manager.create_experiment(
        config=TrainingConfig(), custom_name="legacy_model", description="Migrated from old checkpoint system"
    )
    shutil.copytree(old_checkpoint, new_exp_dir / "checkpoints" / "best_model")
    experiment_manager.mark_complete()
    assert (new_exp_dir / "checkpoints" / "best_model" / "weights.bin").read_bytes() == b"old weights"
    assert (desk / "checkpoints" / "best_model" / "weights.bin").exists()


def test_custom_metrics(desk):
    """Any number in the final summary."""
    experiment_manager = ExperimentManager()
    experiment_manager.create_experiment(TrainingConfig())
    final_summary = {"test_f1": 0.87, "custom_metric": sum([0.1, 0.2]), "memory_usage_mb": 512.0}
    experiment_manager.save_final_metrics(final_summary)
    experiment_manager.mark_complete()
    assert experiment_manager.list_experiments()[0]["metrics"] == final_summary


def test_programmatic_analysis(desk):
    """The data frame of the guide: one row an experiment, sorted by F1."""
    pd = pytest.importorskip("pandas")
    experiment_manager = ExperimentManager()
    for name, f1 in (("a", 0.7), ("b", 0.9), ("c", 0.8)):
        train_one(experiment_manager, name, f1)
    data = []
    for exp in experiment_manager.list_experiments(status="completed"):
        with open(Path(exp["directory"]) / "metrics" / "final_summary.json") as f:
            metrics = json.load(f)
        data.append(
            {
                "experiment_id": exp["experiment_id"],
                "model": exp["config"]["model_name"],
                "lr": exp["config"]["learning_rate"],
                "f1": metrics["test_f1"],
                "accuracy": metrics["test_accuracy"],
            }
        )
    frame = pd.DataFrame(data).sort_values("f1", ascending=False)
    assert list(frame["f1"]) == [0.9, 0.8, 0.7]
    assert [experiment_id.split("_")[2] for experiment_id in frame["experiment_id"]] == ["b", "c", "a"]


# --- the guide itself ------------------------------------------------------------------------------------------------

GUIDE = Path(
    os.environ.get("RUNBOOK_SEED_GUIDE")
    or Path(__file__).resolve().parents[3] / "shared" / "seed" / "ExperimentManager.md"
)
OLD_IMPORT = "from ExperimentManager import ExperimentManager"
NEW_IMPORT = "from runbook import ExperimentManager"


def guide_blocks():
    if not GUIDE.is_file():
        reason = f"the guide is not at {GUIDE}; name it with RUNBOOK_SEED_GUIDE"
        return [pytest.param("", marks=pytest.mark.skip(reason=reason), id="absent")]
    blocks = re.findall(r"^```python\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [
        pytest.param(block, id=f"{n}-{re.sub('[^a-z]+', '-', block.lower())[:30]}")
        for n, block in enumerate(blocks, start=1)
    ]


@pytest.mark.parametrize("block", guide_blocks())
def test_the_guides_own_block_runs(desk, block, capsys):
    """As it stands, with only the import line changed and the user's names supplied."""
    if "import pandas" in block:
        pytest.importorskip("pandas")
    manager = ExperimentManager()
    ids = [train_one(manager, name).name for name in ("baseline", "multilayer")]
    config = TrainingConfig()
    if "create_experiment" not in block and re.search(r"\.(save_|mark_)", block):
        manager.create_experiment(config)
    real = dict(zip(dict.fromkeys(re.findall(r"\d{8}_\d{6}_\w+", block)), ids, strict=False))
    for example, experiment_id in real.items():
        block = block.replace(example, experiment_id)
    block = block.replace(OLD_IMPORT, NEW_IMPORT)
    names = {
        "__name__": "__main__",
        "experiment_manager": manager,
        "config": config,
        "old_config": TrainingConfig(),
        "HateClassifier": HateClassifier,
        "train_loader": loader(8),
        "val_loader": loader(4),
        "test_loader": loader(20),
        "test_results": {"predictions": [1]},
        "calculate_gmb_metrics": calculate_gmb_metrics,
        "calculator": Calculator(),
        "my_custom_calculation": lambda: 0.5,
        # The block with the data frame uses both without importing them.
        "Path": Path,
        "json": json,
    }
    if "ExperimentManager(" in block:
        names["ExperimentManager"] = ExperimentManager
    exec(compile(block, "<guide>", "exec"), names)
    entries = manager.list_experiments()
    assert [entry["experiment_id"] for entry in entries[:2]] == ids
    if "mark_complete" in block:
        assert entries[-1]["experiment_id"] not in ids
        assert entries[-1]["status"] == "completed"
        assert entries[-1]["end_reason"] == "marked"
    if "print" in block:
        assert all(experiment_id in capsys.readouterr().out for experiment_id in list(real.values())[:1])


def test_no_block_of_the_guide_is_left_out():
    """As many blocks as the guide has fences, and exactly one line to change."""
    if not GUIDE.is_file():
        pytest.skip(f"the guide is not at {GUIDE}; name it with RUNBOOK_SEED_GUIDE")
    text = GUIDE.read_text(encoding="utf-8")
    assert len(guide_blocks()) == text.count("```python") > 10
    assert text.count(OLD_IMPORT) == 1


# --- what the old tool left on disk ----------------------------------------------------------------------------------

BASELINE = "20241216_143052_baseline_a1b2c3d4"
MULTILAYER = "20241216_153045_multilayer_e5f6g7h8"
WITH_A_SPACE = "20241217_090000_my run_0a1b2c3d"
GONE = "20241217_100000_gone_11223344"
ODD_STATUS = "20241217_110000_odd_55667788"
MINIMAL = "20241217_120000_99aabbcc"


def old_entry(experiment_id, status, name=None, **more):
    return {
        "experiment_id": experiment_id,
        "timestamp": "2024-12-16T14:30:52.123456",
        "status": status,
        "custom_name": name,
        "description": "Baseline with standard hyperparameters",
        "config": {**asdict(TrainingConfig()), "class_weight": float("nan"), "clip": float("inf")},
        "directory": f"./experiments/{experiment_id}",
        **more,
    }


@pytest.fixture
def old(tmp_path):
    """A base directory as the old tool left it, with all that it allowed."""
    base = tmp_path / "experiments"
    entries = [
        old_entry(
            BASELINE,
            "completed",
            "baseline_model",
            completed_at="2024-12-16T15:45:30.654321",
            notes="Best so far",
            gpu={"name": "A100", "count": 2},
            seeds=[1, 2],
        ),
        old_entry(MULTILAYER, "running", "multilayer_v1", reviewer="Ada"),
        old_entry(WITH_A_SPACE, "failed", "my run"),
        old_entry(GONE, "interrupted", "gone", extra=None),
        old_entry(ODD_STATUS, "done", "odd"),
        {"experiment_id": MINIMAL},
    ]
    for entry in entries:
        if entry["experiment_id"] == GONE:
            # Somebody needed the room.
            continue
        folder = base / entry["experiment_id"]
        for name in ("checkpoints", "results", "metrics", "logs"):
            (folder / name).mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps(entry.get("config", {}), indent=2))
    metrics = base / BASELINE / "metrics"
    summary = {"test_accuracy": 0.89, "test_f1": 0.87, "xai_metrics": {"auprc": float("nan")}, "clip": float("-inf")}
    (metrics / "final_summary.json").write_text(json.dumps(summary, indent=2))
    (metrics / "training_history.json").write_text(json.dumps({"loss": [1.0, float("nan")]}, indent=2))
    (metrics / "bias_metrics.json").write_text(json.dumps({"gmb_metrics": {"a": 1}, "bias_details": {}}, indent=2))
    (base / BASELINE / "results" / "test_predictions.pkl").write_bytes(pickle.dumps({"y": [1, 0]}))
    document = {"experiments": entries, "version": "1.0", "owner": {"team": "nlp"}}
    (base / "experiment_registry.json").write_text(json.dumps(document, indent=2))
    return base


def snapshot(base):
    return {
        path.relative_to(base).as_posix(): path.read_bytes()
        for path in base.rglob("*")
        if path.is_file() and ".runbook" not in path.parts
    }


def same(one, two):
    """Whether two values are the same when NaN is, in either form."""
    return json.dumps(plain(one), sort_keys=True) == json.dumps(plain(two), sort_keys=True)


def plain(value):
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def test_an_old_registry_is_listed_as_it_is(old):
    """Every experiment that is there, in its order, with every field of the old tool, known to us or not."""
    written = json.loads((old / "experiment_registry.json").read_text())["experiments"]
    written = [entry for entry in written if (old / entry["experiment_id"]).is_dir()]
    listed = [entry for entry in ExperimentManager(old).list_experiments() if entry["experiment_id"] != GONE]
    assert [entry["experiment_id"] for entry in listed] == [entry["experiment_id"] for entry in written]
    for was, entry in zip(written, listed, strict=True):
        assert Path(entry["directory"]) == old / entry["experiment_id"]
        kept = {key: entry[key] for key in was}
        assert same({**kept, "directory": None}, {**was, "directory": None})
        assert {"status", "custom_name", "config", "completed_at", "notes", "metrics", "tags"} <= set(entry)
    assert listed[0]["gpu"] == {"name": "A100", "count": 2}


def test_reading_an_old_base_directory_changes_nothing(old, tmp_path, capsys):
    """Not one byte of the old files, whatever is asked."""
    before = snapshot(old)
    manager = ExperimentManager(old)
    manager.list_experiments()
    manager.list_experiments(status="completed")
    manager.print_experiment_summary()
    view = manager.get_experiment(BASELINE)
    view.history(), view.load_metrics(), view.load_predictions(allow_pickle=True)
    manager.compare_experiments([BASELINE, MULTILAYER])
    manager.get_experiment_path(MULTILAYER)
    manager.export_experiment(BASELINE, tmp_path / "shared")
    assert snapshot(old) == before


def test_an_old_experiment_can_be_viewed(old):
    """Its config, metrics and predictions; times without an offset are local ones."""
    view = ExperimentManager(old).get_experiment("baseline_model")
    assert (view.id, view.name, view.status, view.notes) == (BASELINE, "baseline_model", "completed", "Best so far")
    assert view.config["learning_rate"] == 2e-5
    assert record_of(view).timestamp == datetime(2024, 12, 16, 14, 30, 52, 123456).astimezone()
    assert record_of(view).completed_at == datetime(2024, 12, 16, 15, 45, 30, 654321).astimezone()
    assert view.end_reason is None
    assert view.history() == {"step": [], "time": []}
    assert math.isnan(view.load_metrics()["xai_metrics"]["auprc"])
    assert view.load_metrics()["clip"] == -math.inf
    assert math.isnan(view.load_metrics("training_history")["loss"][1])
    assert view.load_metrics("bias_metrics")["gmb_metrics"] == {"a": 1}
    assert view.load_predictions(allow_pickle=True) == {"y": [1, 0]}
    with pytest.raises(FileNotFoundError):
        view.load_environment()


@pytest.mark.parametrize("wanted", [BASELINE, MULTILAYER, WITH_A_SPACE, ODD_STATUS, MINIMAL, "odd", "my run"])
def test_every_old_experiment_can_be_viewed(old, wanted):
    """Whatever the old tool let into its registry: odd statuses, names in ids as they were, missing fields."""
    manager = ExperimentManager(old)
    view = manager.get_experiment(wanted)
    assert wanted in {view.id, view.name}
    assert isinstance(view.status, Status)
    assert manager.get_experiment_path(wanted) == old / view.id
    assert manager.compare_experiments([wanted])["experiments"][0]["experiment_id"] == view.id


def test_old_and_new_are_compared(old):
    """By the metrics in their own files; NaN in both configs is no difference."""
    manager = ExperimentManager(old)
    with manager.experiment(
        {**asdict(TrainingConfig(learning_rate=5e-5)), "class_weight": float("nan"), "clip": float("inf")}
    ) as exp:
        exp.save_final_metrics({"test_f1": 0.91, "test_accuracy": 0.9})
    comparison = manager.compare_experiments([BASELINE, exp.id])
    assert [found["metrics"]["test_f1"] for found in comparison["experiments"]] == [0.87, 0.91]
    assert comparison["config_diff"] == {"learning_rate": {BASELINE: 2e-5, exp.id: 5e-5}}


def test_two_old_ones_with_the_same_config_do_not_differ(old):
    """NaN in the old file is a float, and equal to no other."""
    assert ExperimentManager(old).compare_experiments([BASELINE, MULTILAYER])["config_diff"] == {}


def test_the_summary_shows_old_experiments(old, capsys):
    """Names, statuses and durations as far as they are known."""
    ExperimentManager(old).print_experiment_summary()
    out = capsys.readouterr().out
    for word in (BASELINE, MULTILAYER, "baseline_model", "completed", "running", "done", "1.2 h"):
        assert word in out
    assert "experiments in" in out


def test_what_the_old_registry_held_survives_new_experiments(old):
    """Entries, unknown fields in them, and unknown fields beside them; the file is strict JSON from then on."""
    before = json.loads((old / "experiment_registry.json").read_text())
    manager = ExperimentManager(old)
    ids = []
    for n in range(3):
        with manager.experiment({"n": n}) as exp:
            exp.save_final_metrics({"f1": n})
            ids.append(exp.id)
    text = (old / "experiment_registry.json").read_text()
    after = json.loads(text, parse_constant=pytest.fail)
    assert {key: value for key, value in after.items() if key != "experiments"} == {
        "version": "1.0",
        "owner": {"team": "nlp"},
    }
    count = len(before["experiments"])
    assert same(after["experiments"][:count], before["experiments"])
    assert [entry["experiment_id"] for entry in after["experiments"][count:]] == ids
    assert {entry["status"] for entry in after["experiments"][count:]} == {"completed"}


def test_old_folders_are_not_touched_by_new_experiments(old):
    """Ours go beside them."""
    folders = {name: data for name, data in snapshot(old).items() if "/" in name}
    manager = ExperimentManager(old)
    with manager.experiment({"n": 1}):
        pass
    manager.list_experiments()
    after = snapshot(old)
    assert {name: after[name] for name in folders} == folders


def test_the_old_tool_may_go_on_writing(old):
    """It reads the whole registry, appends, and writes it back indented: nothing of either tool's is lost."""
    manager = ExperimentManager(old)
    with manager.experiment({"n": 1}, tags=["ours"]) as first:
        first.save_final_metrics({"f1": float("nan")})
    path = old / "experiment_registry.json"
    document = json.loads(path.read_text())
    theirs = "20250101_000000_theirs_deadbeef"
    (old / theirs).mkdir()
    (old / theirs / "config.json").write_text("{}")
    document["experiments"].append(old_entry(theirs, "completed", "theirs", mark="kept"))
    path.write_text(json.dumps(document, indent=2))
    with manager.experiment({"n": 2}) as second:
        pass
    listed = {entry["experiment_id"]: entry for entry in ExperimentManager(old).list_experiments()}
    assert {BASELINE, MULTILAYER, first.id, second.id, theirs} <= set(listed)
    assert f'"experiment_id": "{GONE}"' in path.read_text()
    assert listed[theirs]["mark"] == "kept"
    assert listed[BASELINE]["seeds"] == [1, 2]
    assert (listed[first.id]["tags"], listed[first.id]["status"]) == (["ours"], "completed")
    assert math.isnan(listed[first.id]["metrics"]["f1"])


def test_an_update_keeps_fields_that_others_added_to_our_lines(old):
    """A field of somebody's own in the line of a running experiment is still there when it ends."""
    manager = ExperimentManager(old)
    path = old / "experiment_registry.json"
    with manager.experiment({"n": 1}) as exp:
        document = json.loads(path.read_text())
        document["experiments"][-1]["reviewer"] = "Ada"
        document["group"] = "nlp"
        path.write_text(json.dumps(document, indent=4))
    entry = manager.list_experiments()[-1]
    assert (entry["experiment_id"], entry["status"], entry["reviewer"]) == (exp.id, "completed", "Ada")
    assert json.loads(path.read_text())["group"] == "nlp"


def test_folders_that_the_old_tool_lost_are_found_again(old):
    """It overwrote its registry now and then; the folders are the truth."""
    (old / "experiment_registry.json").unlink()
    listed = {entry["experiment_id"]: entry for entry in ExperimentManager(old).list_experiments()}
    assert {BASELINE, ODD_STATUS, MINIMAL, WITH_A_SPACE} <= set(listed)
    assert listed[BASELINE]["status"] == "unknown"
    assert listed[BASELINE]["config"]["learning_rate"] == 2e-5
    assert listed[BASELINE]["timestamp"].startswith("2024-12-16")


@pytest.mark.parametrize("damage", ["truncated", "garbage in the middle", "empty"])
def test_an_old_registry_that_is_damaged_is_set_aside(old, damage, caplog):
    """What can be read of it is kept, the folders give the rest, it is said, and the file is still there to look at."""
    path = old / "experiment_registry.json"
    raw = path.read_bytes()
    middle = len(raw) // 2
    broken = {"truncated": raw[:middle], "garbage in the middle": raw[:middle] + b"\xff{" + raw[middle:], "empty": b""}
    path.write_bytes(broken[damage])
    listed = {entry["experiment_id"]: entry for entry in ExperimentManager(old).list_experiments()}
    assert {BASELINE, ODD_STATUS, MINIMAL} <= set(listed)
    if damage != "empty":
        assert listed[BASELINE]["gpu"] == {"name": "A100", "count": 2}
        assert listed[BASELINE]["status"] == "completed"
    (aside,) = old.glob("experiment_registry.json.damaged-*")
    assert aside.read_bytes() == broken[damage]
    assert aside.name in caplog.text
    assert set(listed) == {entry["experiment_id"] for entry in json.loads(path.read_text())["experiments"]}


def test_an_old_base_directory_can_be_moved(old, tmp_path):
    """`directory` in the file is where it was; what is listed is where it is."""
    moved = tmp_path / "archive" / "2024"
    moved.parent.mkdir()
    shutil.move(old, moved)
    manager = ExperimentManager(moved)
    assert all(Path(entry["directory"]).parent == moved for entry in manager.list_experiments())
    assert manager.get_experiment("baseline_model").load_metrics()["test_f1"] == 0.87


def test_new_endings_are_closed_sets_beside_old_statuses(old):
    """Ours end truly, whatever the old ones are called."""
    manager = ExperimentManager(old)
    with pytest.raises(ValueError, match="x"), manager.experiment({"n": 1}):
        raise ValueError("x")
    assert manager.list_experiments()[-1]["end_reason"] == EndReason.EXCEPTION
    assert [entry["experiment_id"] for entry in manager.list_experiments(status="failed")][0] == WITH_A_SPACE
