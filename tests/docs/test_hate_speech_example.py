"""The metrics of the hate-speech example against independent computations."""

from __future__ import annotations

import bisect
import csv
import importlib.util
import json
import math
import os
import pickle
import random
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

np = pytest.importorskip("numpy", reason="the hate-speech example needs numpy")
pytest.importorskip("sklearn", reason="the hate-speech example needs scikit-learn")
sparse = pytest.importorskip("scipy.sparse", reason="the hate-speech example needs scipy")

EXAMPLE = Path(__file__).parents[2] / "examples" / "hate_speech_pipeline.py"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pipeline() -> ModuleType:
    """The example as a module, imported from its path."""
    spec = importlib.util.spec_from_file_location("hate_speech_pipeline", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up by name
    spec.loader.exec_module(module)
    return module


def auc_by_pairs(positives: list[float], negatives: list[float]) -> float:
    """The share of pairs in which the positive scores higher; a tie counts half."""
    won = 0.0
    for positive in positives:
        for negative in negatives:
            won += 1.0 if positive > negative else 0.5 if positive == negative else 0.0
    return won / (len(positives) * len(negatives))


def bias_aucs_by_pairs(labels: list[int], scores: list[float], members: list[bool]) -> dict[str, float]:
    """The three AUCs of one subgroup, from their definition."""

    def pick(label: int, member: bool) -> list[float]:
        rows = zip(labels, scores, members, strict=True)
        return [score for each, score, inside in rows if each == label and inside == member]

    return {
        "subgroup_auc": auc_by_pairs(pick(1, True), pick(0, True)),
        "bpsn_auc": auc_by_pairs(pick(1, False), pick(0, True)),
        "bnsp_auc": auc_by_pairs(pick(1, True), pick(0, False)),
    }


def sigmoid(score: float) -> float:
    return 1 / (1 + math.exp(-score))


# Eight texts, the first four of the group: the group's negative at 0.8 outscores a positive of each side.
LABELS = [1, 1, 0, 0, 1, 1, 0, 0]
SCORES = [0.9, 0.7, 0.8, 0.1, 0.95, 0.6, 0.3, 0.2]
GROUP = [True] * 4 + [False] * 4


def test_bias_aucs_of_a_worked_example(pipeline):
    """Of four pairs each, three are won within the group, three against its negatives, four by its positives."""
    metrics, details = pipeline.calculate_gmb_metrics(
        np.array(LABELS), np.array(SCORES), {"group": np.array(GROUP)}, min_examples=2
    )
    group = details["subgroups"]["group"]
    assert group == {
        "positives": 2,
        "negatives": 2,
        "background_positives": 2,
        "background_negatives": 2,
        "subgroup_auc": pytest.approx(3 / 4),
        "bpsn_auc": pytest.approx(3 / 4),
        "bnsp_auc": pytest.approx(1.0),
    }
    assert metrics == {
        "gmb_subgroup_auc": pytest.approx(3 / 4),
        "gmb_bpsn_auc": pytest.approx(3 / 4),
        "gmb_bnsp_auc": pytest.approx(1.0),
        "overall_auc": pytest.approx(14 / 16),
    }


@pytest.mark.parametrize("seed", range(5))
def test_bias_aucs_equal_counting_pairs(pipeline, seed):
    """Each AUC is the share of pairs in the right order, with ties, for overlapping groups of any size."""
    dice = random.Random(seed)
    labels = [dice.randint(0, 1) for _ in range(120)]
    scores = [round(dice.gauss(0.4 * label, 0.5), 1) for label in labels]  # rounded, so that there are ties
    groups = {f"g{share}": [dice.random() < share for _ in labels] for share in (0.2, 0.5, 0.8)}
    metrics, details = pipeline.calculate_gmb_metrics(
        np.array(labels),
        np.array(scores),
        {name: np.array(rows) for name, rows in groups.items()},
        min_examples=1,
    )
    expected = {name: bias_aucs_by_pairs(labels, scores, members) for name, members in groups.items()}
    assert set(details["subgroups"]) == set(groups)
    for name, aucs in expected.items():
        for auc, value in aucs.items():
            assert details["subgroups"][name][auc] == pytest.approx(value, abs=1e-12)
    for auc in ("subgroup_auc", "bpsn_auc", "bnsp_auc"):
        by_hand = (sum(aucs[auc] ** -5 for aucs in expected.values()) / len(expected)) ** (-1 / 5)
        assert metrics[f"gmb_{auc}"] == pytest.approx(by_hand, abs=1e-12)


@pytest.mark.parametrize(
    ("labels", "members"),
    [
        ([1, 1, 1, 0, 1, 1, 0, 0], GROUP),
        ([1, 0, 0, 0, 1, 1, 0, 0], GROUP),
        ([1, 1, 0, 0, 1, 0, 0, 0], GROUP),
        ([1, 1, 0, 0, 1, 1, 1, 0], GROUP),
        (LABELS, [False] * 8),
        (LABELS, [True] * 8),
    ],
    ids=[
        "few negatives",
        "few positives",
        "few background positives",
        "few background negatives",
        "empty",
        "all",
    ],
)
def test_a_subgroup_with_too_few_of_a_kind_is_left_out_and_named(pipeline, labels, members):
    """It takes no part in the means, which are NaN when nothing is left, and its sizes are told."""
    metrics, details = pipeline.calculate_gmb_metrics(
        np.array(labels), np.array(SCORES), {"small": np.array(members)}, min_examples=2
    )
    assert details["subgroups"] == {}
    assert list(details["left_out"]) == ["small"]
    sizes = details["left_out"]["small"]
    assert sum(sizes.values()) == 8
    assert min(sizes.values()) < 2
    assert all(math.isnan(metrics[f"gmb_{auc}"]) for auc in ("subgroup_auc", "bpsn_auc", "bnsp_auc"))
    assert 0 <= metrics["overall_auc"] <= 1


def test_a_left_out_subgroup_leaves_the_means_as_they_are(pipeline):
    """The means over a large and a too small subgroup are those of the large one alone."""
    groups = {"group": np.array(GROUP), "small": np.array([True] + [False] * 7)}
    both, details = pipeline.calculate_gmb_metrics(np.array(LABELS), np.array(SCORES), groups, min_examples=2)
    del groups["small"]
    alone, _ = pipeline.calculate_gmb_metrics(np.array(LABELS), np.array(SCORES), groups, min_examples=2)
    assert both == alone
    assert list(details["left_out"]) == ["small"]


def test_generalized_mean_of_known_values(pipeline):
    """((0.5**-5 + 1**-5) / 2) ** (-1/5) is 16.5 ** -0.2; equal values are their own mean."""
    assert pipeline.generalized_mean([0.5, 1.0], -5) == pytest.approx(16.5**-0.2, abs=1e-15)
    assert pipeline.generalized_mean([0.7, 0.7, 0.7], -5) == pytest.approx(0.7)
    assert pipeline.generalized_mean([0.2, 0.6], 1) == pytest.approx(0.4)


def test_generalized_mean_lies_between_the_worst_and_the_arithmetic_mean(pipeline):
    """A negative power pulls the mean towards the worst value, never below it."""
    dice = random.Random(1)
    for _ in range(50):
        values = [dice.uniform(0.01, 1) for _ in range(dice.randint(2, 9))]
        assert min(values) < pipeline.generalized_mean(values, -5) < sum(values) / len(values)


def test_generalized_mean_with_a_zero_is_zero(pipeline):
    """An AUC of 0 gives the limit 0, without a warning; values close to it come close to that."""
    assert pipeline.generalized_mean([0.0, 0.9, 1.0], -5) == 0.0
    assert pipeline.generalized_mean([1e-12, 0.9, 1.0], -5) == pytest.approx(0.0, abs=1e-11)


def test_generalized_mean_of_nothing_is_nan(pipeline):
    """Without a subgroup there is no mean, and none is made up."""
    assert math.isnan(pipeline.generalized_mean([], -5))


def test_a_perfectly_wrong_subgroup_pulls_the_mean_to_zero(pipeline):
    """One subgroup whose every negative outscores its positives makes the subgroup mean 0."""
    labels = np.array([1, 0, 1, 0, 1, 0])
    scores = np.array([0.1, 0.9, 0.8, 0.2, 0.7, 0.3])
    groups = {name: np.isin(np.arange(6), rows) for name, rows in {"wrong": [0, 1], "right": [2, 3]}.items()}
    metrics, details = pipeline.calculate_gmb_metrics(labels, scores, groups, min_examples=1)
    assert details["subgroups"]["wrong"]["subgroup_auc"] == 0.0
    assert details["subgroups"]["right"]["subgroup_auc"] == 1.0
    assert metrics["gmb_subgroup_auc"] == 0.0


def test_subgroups_are_found_by_whole_words_in_any_case(pipeline):
    """A term inside a longer word does not count; punctuation and capitals do not hide it."""
    texts = ["An old town", "a golden age", "OLD!", "the woman's garden", "women, and men", "manual"]
    found = pipeline.find_subgroups(texts)
    assert found["old"].tolist() == [True, False, True, False, False, False]
    assert found["female"].tolist() == [False, False, False, True, True, False]
    assert found["male"].tolist() == [False, False, False, False, True, False]
    assert set(found) == set(pipeline.IDENTITY_TERMS)


CONTRIBUTIONS = [
    [2.0, 0.5, -1.0, 0.0],  # score 1.5 + b: positive, supported by the words 0 and 1
    [-3.0, 1.0, 0.0, -0.5],  # score -2.5 + b: negative, supported by the words 0 and 3
    [0.0, 0.0, 0.0, 0.0],  # nothing known: the intercept decides
]
INTERCEPT = 0.25


@pytest.mark.parametrize("form", ["dense", "sparse"])
def test_faithfulness_of_a_worked_example(pipeline, form):
    """Each probability is the sigmoid of the sum that is left, for the class that was predicted first."""
    given = np.array(CONTRIBUTIONS) if form == "dense" else sparse.csr_matrix(CONTRIBUTIONS)
    explained = pipeline.explain_linear(given, INTERCEPT, top_k=1)
    full = [sigmoid(1.75), sigmoid(2.25), sigmoid(0.25)]
    without = [sigmoid(-0.25), sigmoid(-0.75), sigmoid(0.25)]
    only = [sigmoid(2.25), sigmoid(2.75), sigmoid(0.25)]
    assert explained.predicted.tolist() == [1, 0, 1]
    assert [words.tolist() for words in explained.rationales] == [[0], [0], []]
    assert explained.full == pytest.approx(full)
    assert explained.without_rationale == pytest.approx(without)
    assert explained.rationale_only == pytest.approx(only)
    assert explained.comprehensiveness == pytest.approx((sum(full) - sum(without)) / 3)
    assert explained.sufficiency == pytest.approx((sum(full) - sum(only)) / 3)


def test_a_rationale_holds_no_word_against_the_prediction(pipeline):
    """With room for more words, only those that support the predicted class are taken, the strongest first."""
    explained = pipeline.explain_linear(np.array(CONTRIBUTIONS), INTERCEPT, top_k=4)
    assert [words.tolist() for words in explained.rationales] == [[0, 1], [0, 3], []]


@pytest.mark.parametrize("seed", range(5))
def test_faithfulness_equals_predicting_the_changed_texts(pipeline, seed):
    """Taking the rationale's counts out, or all others, and predicting again gives the same averages."""
    dice = random.Random(seed)
    weights = [dice.gauss(0, 1) for _ in range(12)]
    texts = [[dice.choice([0, 0, 1, 2]) for _ in weights] for _ in range(30)]
    intercept, top_k = dice.gauss(0, 1), 3

    def probability(counts: list[int]) -> float:
        return sigmoid(intercept + sum(weight * count for weight, count in zip(weights, counts, strict=True)))

    comprehensiveness, sufficiency, rationales = [], [], []
    for counts in texts:
        sign = 1 if probability(counts) > 0.5 else -1
        support = {word: sign * weights[word] * count for word, count in enumerate(counts)}
        best = [word for word in sorted(support, key=support.get, reverse=True) if support[word] > 0][:top_k]
        without = [0 if word in best else count for word, count in enumerate(counts)]
        only = [count if word in best else 0 for word, count in enumerate(counts)]
        predicted, p_without, p_only = (
            p if sign > 0 else 1 - p for p in (probability(counts), probability(without), probability(only))
        )
        comprehensiveness.append(predicted - p_without)
        sufficiency.append(predicted - p_only)
        rationales.append(best)

    explained = pipeline.explain_linear(np.array(texts) * np.array(weights), intercept, top_k)
    assert [words.tolist() for words in explained.rationales] == rationales
    assert explained.comprehensiveness == pytest.approx(sum(comprehensiveness) / len(texts), abs=1e-12)
    assert explained.sufficiency == pytest.approx(sum(sufficiency) / len(texts), abs=1e-12)


@pytest.mark.parametrize(
    ("positions", "spans"),
    [([], []), ([4], [(4, 5)]), ([3, 1, 2], [(1, 4)]), ([0, 2, 3, 7], [(0, 1), (2, 4), (7, 8)])],
)
def test_token_positions_are_joined_into_half_open_spans(pipeline, positions, spans):
    """Neighbours share a span, whose end is the token after the last one."""
    assert pipeline.token_spans(positions) == [{"start_token": start, "end_token": end} for start, end in spans]


def test_an_eraser_entry_marks_every_occurrence_of_a_rationale_word(pipeline):
    """Positions count the tokens of the text, and each group of scores sums to one."""
    texts = ["rain and wind", "sun and calm", "rain rain wind", "sun sun calm"]
    config = pipeline.TrainingConfig(min_document_frequency=1, rationale_words=1)
    model = pipeline.HateClassifier(config)
    model.vectorizer.fit(texts)
    columns = model.vectorizer.vocabulary_
    contributions = np.zeros((1, len(columns)))
    contributions[0, columns["rain"]] = 2.0
    contributions[0, columns["wind"]] = 1.0
    explained = pipeline.explain_linear(contributions, -0.5, config.rationale_words)
    entry = pipeline.FaithfulnessCalculator(model).eraser_entry("tweet-7", "Rain, rain and wind; rain!", explained, 0)
    assert entry["annotation_id"] == "tweet-7"
    assert entry["rationales"] == [
        {
            "docid": "tweet-7",
            "hard_rationale_predictions": [
                {"start_token": 0, "end_token": 2},
                {"start_token": 4, "end_token": 5},
            ],
        }
    ]
    assert entry["classification"] == "hate_or_offensive"
    for name, score in {"": 2.5, "comprehensiveness_": 0.5, "sufficiency_": 1.5}.items():
        scores = entry[f"{name}classification_scores"]
        assert scores["hate_or_offensive"] == pytest.approx(sigmoid(score))
        assert sum(scores.values()) == pytest.approx(1)
    assert json.loads(json.dumps(entry, allow_nan=False)) == entry


def real_data() -> Path:
    """The data set, where there is one."""
    default = EXAMPLE.parents[2] / "shared" / "data" / "davidson" / "labeled_data.csv"
    path = Path(os.environ.get("RUNBOOK_DAVIDSON_CSV", default))
    if not path.is_file():
        pytest.skip(f"Davidson's tweets are not at {path}; set RUNBOOK_DAVIDSON_CSV")
    return path


@pytest.fixture(scope="module")
def real_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the pipeline's experiment on the whole data set."""
    data, base = real_data(), tmp_path_factory.mktemp("base")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("RUNBOOK_")},
        "RUNBOOK_DIR": str(base),
        "PYTHONWARNINGS": "error",
    }
    subprocess.run([sys.executable, EXAMPLE, "--data", data], cwd=base, env=environment, check=True)
    (entry,) = json.loads((base / "experiment_registry.json").read_text(encoding="utf-8"))["experiments"]
    return base / entry["experiment_id"]


@pytest.fixture(scope="module")
def real_tweets() -> dict[int, tuple[int, str]]:
    """The class and the text of each row."""
    with real_data().open(encoding="utf-8", newline="") as file:
        return {int(row[""]): (int(row["class"]), row["tweet"]) for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def real_results(real_run: Path) -> dict[str, list]:
    """The saved predictions as plain lists."""
    results = pickle.loads((real_run / "results" / "test_predictions.pkl").read_bytes())
    return {name: results[name].tolist() for name in ("ids", "labels", "predictions", "probabilities")}


def auc_by_ranks(positives: list[float], negatives: list[float]) -> float:
    """The same as `auc_by_pairs`, quick enough for thousands."""
    ordered = sorted(negatives)
    won = sum((bisect.bisect_left(ordered, score) + bisect.bisect_right(ordered, score)) / 2 for score in positives)
    return won / (len(positives) * len(negatives))


def test_auc_by_ranks_is_auc_by_pairs():
    """The two ways of counting that these tests rely on agree."""
    dice = random.Random(3)
    positives, negatives = ([round(dice.random(), 1) for _ in range(size)] for size in (40, 30))
    assert auc_by_ranks(positives, negatives) == pytest.approx(auc_by_pairs(positives, negatives))


def test_real_accuracy_and_f1_follow_from_the_saved_predictions(real_run, real_results, real_tweets):
    """Counted by hand over the labels of the data set, they are the numbers of the final summary."""
    truth = [int(real_tweets[row][0] != 2) for row in real_results["ids"]]
    guess = [int(probability > 0.5) for probability in real_results["probabilities"]]
    assert truth == real_results["labels"]
    assert guess == real_results["predictions"]
    summary = json.loads((real_run / "metrics" / "final_summary.json").read_text(encoding="utf-8"))
    pairs = Counter(zip(truth, guess, strict=True))
    assert summary["test_accuracy"] == pytest.approx((pairs[0, 0] + pairs[1, 1]) / len(truth))
    f1 = [2 * pairs[k, k] / (2 * pairs[k, k] + pairs[k, 1 - k] + pairs[1 - k, k]) for k in (0, 1)]
    assert summary["test_f1"] == pytest.approx(sum(f1) / 2)


def test_real_bias_metrics_follow_from_the_saved_predictions(pipeline, real_run, real_results, real_tweets):
    """Subgroups found by splitting into words and AUCs by ranks give the same generalized means."""
    rows = list(zip(real_results["ids"], real_results["labels"], real_results["probabilities"], strict=True))
    words = {row: set(re.findall(r"\w+", real_tweets[row][1].lower())) for row, _, _ in rows}
    expected, left_out = {}, set()
    for name, terms in pipeline.IDENTITY_TERMS.items():
        scores = {(label, inside): [] for label in (0, 1) for inside in (False, True)}
        for row, label, score in rows:
            scores[label, not words[row].isdisjoint(terms)].append(score)
        if min(len(values) for values in scores.values()) < 10:
            left_out.add(name)
            continue
        expected[name] = {
            "subgroup_auc": auc_by_ranks(scores[1, True], scores[0, True]),
            "bpsn_auc": auc_by_ranks(scores[1, False], scores[0, True]),
            "bnsp_auc": auc_by_ranks(scores[1, True], scores[0, False]),
        }
    assert len(expected) >= 5

    summary = json.loads((real_run / "metrics" / "final_summary.json").read_text(encoding="utf-8"))
    for auc in ("subgroup_auc", "bpsn_auc", "bnsp_auc"):
        mean = (sum(group[auc] ** -5 for group in expected.values()) / len(expected)) ** (-1 / 5)
        assert summary["gmb_metrics"][f"gmb_{auc}"] == pytest.approx(mean, abs=1e-12)
    overall = auc_by_ranks(
        [score for _, label, score in rows if label], [score for _, label, score in rows if not label]
    )
    assert summary["gmb_metrics"]["overall_auc"] == pytest.approx(overall, abs=1e-12)

    details = json.loads((real_run / "metrics" / "bias_metrics.json").read_text(encoding="utf-8"))["bias_details"]
    assert set(details["left_out"]) == left_out
    for name, aucs in expected.items():
        assert {auc: details["subgroups"][name][auc] for auc in aucs} == pytest.approx(aucs, abs=1e-12)


def test_real_faithfulness_follows_from_the_checkpoint_and_the_texts(pipeline, real_run, real_tweets):
    """Scoring each tweet word by word gives the rationales, their spans, the scores and the averages."""
    joblib = pytest.importorskip("joblib")
    model = joblib.load(real_run / "checkpoints" / "final_model" / "model.joblib")
    weights = {word: model["linear"].coef_[0][column] for word, column in model["vectorizer"].vocabulary_.items()}
    intercept = float(model["linear"].intercept_[0])
    lines = (real_run / "results" / "eraser_formatted_results.jsonl").read_text(encoding="utf-8").splitlines()
    comprehensiveness, sufficiency, sizes = [], [], []
    for line in map(json.loads, lines):
        tokens = re.findall(r"\b\w\w+\b", real_tweets[int(line["annotation_id"].removeprefix("tweet-"))][1].lower())
        parts = {word: weights[word] * count for word, count in Counter(tokens).items() if word in weights}
        total = intercept + sum(parts.values())
        sign = 1 if total > 0 else -1
        assert line["classification"] == ("hate_or_offensive" if sign > 0 else "neither")

        spans = line["rationales"][0]["hard_rationale_predictions"]
        marked = [place for span in spans for place in range(span["start_token"], span["end_token"])]
        rationale = {tokens[place] for place in marked}
        assert marked == [place for place, token in enumerate(tokens) if token in rationale]
        supporting = sorted((sign * part for part in parts.values() if sign * part > 0), reverse=True)
        assert sorted((sign * parts[word] for word in rationale), reverse=True) == supporting[:3]

        inside = sum(parts[word] for word in rationale)
        full, without, only = (sigmoid(sign * s) for s in (total, total - inside, intercept + inside))
        for name, p in {"": full, "comprehensiveness_": without, "sufficiency_": only}.items():
            assert line[f"{name}classification_scores"][line["classification"]] == pytest.approx(p, abs=1e-9)
        comprehensiveness.append(full - without)
        sufficiency.append(full - only)
        sizes.append(len(rationale))

    summary = json.loads((real_run / "metrics" / "final_summary.json").read_text(encoding="utf-8"))
    assert summary["xai_metrics"] == pytest.approx(
        {
            "comprehensiveness": sum(comprehensiveness) / len(lines),
            "sufficiency": sum(sufficiency) / len(lines),
            "mean_rationale_words": sum(sizes) / len(lines),
        },
        abs=1e-9,
    )


@pytest.mark.parametrize("place", ["metrics", "results", "logs", "config.json", "experiment.json"])
def test_no_real_tweet_is_kept(real_run, real_results, real_tweets, place):
    """None of a thousand tweets of the test split stands in what is kept beside the checkpoints."""
    target = real_run / place
    files = [target] if target.is_file() else [path for path in target.rglob("*") if path.is_file()]
    kept = b"\n".join(path.read_bytes() for path in files)
    assert kept
    texts = [real_tweets[row][1] for row in real_results["ids"][:1000]]
    assert sum(text.encode() in kept for text in texts if len(text) > 20) == 0
