"""The complete pipeline of a hate-speech experiment: training, bias metrics, rationales, final summary.

It trains a bag-of-words classifier on the tweets of Davidson et al. (ICWSM 2017), measures its unintended
bias towards identity groups and how faithful its rationales are, and keeps all of it as one experiment:

    python examples/hate_speech_pipeline.py --data labeled_data.csv

The data set is `data/labeled_data.csv` of https://github.com/t-davidson/hate-speech-and-offensive-language.
Its tweets are offensive by nature. What this script prints and saves are row numbers, labels, scores and
token positions, never a tweet; only the checkpoint holds words, because a vocabulary consists of them.
"""

import argparse
import csv
import json
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from scipy.sparse import csr_array
from scipy.special import expit
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import accuracy_score, f1_score, log_loss, roc_auc_score
from sklearn.model_selection import train_test_split

from runbook import ExperimentManager

DATA_SOURCE = "https://github.com/t-davidson/hate-speech-and-offensive-language, data/labeled_data.csv"

# The annotators chose between hate speech (0), offensive language (1) and neither (2). The target here is
# "hate or offensive" against "neither", because hate speech alone is 6 % of the tweets: with it, 4 of the 15
# identity groups below have ten positives and ten negatives in the test split, with both together 7.
NEITHER = 2
LABELS = ("neither", "hate_or_offensive")

# The words by which a tweet counts as mentioning a group. Matching words is crude ("black" is a colour, too):
# the AUC of a group is about the tweets with its words, not about its people.
IDENTITY_TERMS = {
    "female": ("woman", "women", "girl", "girls", "female", "females"),
    "male": ("man", "men", "boy", "boys", "guy", "guys", "male", "males"),
    "black": ("black", "blacks", "african", "africans"),
    "white": ("white", "whites"),
    "asian": ("asian", "asians", "chinese", "japanese", "indian"),
    "latino": ("latino", "latinos", "latina", "latinas", "hispanic", "mexican", "mexicans"),
    "american": ("american", "americans"),
    "muslim": ("muslim", "muslims", "islam", "islamic"),
    "jewish": ("jew", "jews", "jewish"),
    "christian": ("christian", "christians", "catholic", "catholics"),
    "homosexual": ("gay", "gays", "lesbian", "lesbians", "homosexual", "homosexuals", "queer"),
    "transgender": ("trans", "transgender"),
    "young": ("young", "younger", "kid", "kids", "teen", "teens"),
    "old": ("old", "older", "elderly"),
    "disabled": ("blind", "deaf", "disabled"),
}


@dataclass
class TrainingConfig:
    """The settings of one experiment."""

    model_name: str = "bag_of_words_logistic"
    learning_rate: float = 0.05
    batch_size: int = 64
    epochs: int = 10
    l2_penalty: float = 1e-5
    min_document_frequency: int = 2
    rationale_words: int = 3
    min_subgroup_examples: int = 10
    test_fraction: float = 0.3
    limit: int | None = None
    seed: int = 0
    save_dir: str = "./checkpoints"


# --- The pipeline -----------------------------------------------------------------------------------------


def run_pipeline(data: Path, config: TrainingConfig) -> None:
    """Run the seven steps of the experiment."""
    train_loader, val_loader, test_loader = make_loaders(data, config)

    # 1. CREATE EXPERIMENT
    experiment_manager = ExperimentManager()
    experiment_dir = experiment_manager.create_experiment(
        config=config,
        custom_name="davidson_bag_of_words",
        description="Word counts and logistic regression on Davidson's tweets, with bias and faithfulness",
    )

    # 2. TRAIN
    model = HateClassifier(config)  # config.save_dir is now the experiment's checkpoints folder
    history = model.train(train_loader, val_loader)
    experiment_manager.save_training_history(history)

    # 3. EVALUATE
    results = model.predict(test_loader, return_attentions=True)
    experiment_manager.save_predictions(results)

    # 4. BIAS METRICS
    gmb_metrics, bias_details = calculate_gmb_metrics(
        results["labels"],
        results["probabilities"],
        find_subgroups(test_loader.texts),
        min_examples=config.min_subgroup_examples,
    )
    experiment_manager.save_bias_metrics(gmb_metrics, bias_details)

    # 5. XAI METRICS
    calculator = FaithfulnessCalculator(model)
    with tempfile.TemporaryDirectory() as scratch:
        eraser_path = Path(scratch) / "eraser.jsonl"
        xai_results = calculator.compute_all_metrics(test_loader, results, eraser_path)
        experiment_manager.save_eraser_results(eraser_path)
    experiment_manager.save_xai_metrics(xai_results)

    # 6. FINAL SUMMARY
    final_summary = {
        "test_accuracy": float(results["accuracy"]),
        "test_f1": float(results["f1"]),
        "gmb_metrics": gmb_metrics,
        "xai_metrics": xai_results,
    }
    experiment_manager.save_final_metrics(final_summary)

    # 7. MARK COMPLETE
    experiment_manager.mark_complete(status="completed")

    print_report(experiment_dir, final_summary, bias_details)


def print_report(experiment_dir: Path, summary: Mapping[str, Any], bias_details: Mapping[str, Any]) -> None:
    """Print the numbers of the final summary and the AUCs of each identity group."""
    print(f"experiment: {experiment_dir}\n")
    numbers = {name: value for name, value in summary.items() if isinstance(value, float)}
    for name, value in {**numbers, **summary["gmb_metrics"], **summary["xai_metrics"]}.items():
        print(f"{name:<22}{value:>8.4f}")

    print(f"\n{'identity group':<16}{'positives':>10}{'negatives':>10}{'subgroup':>10}{'BPSN':>8}{'BNSP':>8}")
    for name, group in bias_details["subgroups"].items():
        print(
            f"{name:<16}{group['positives']:>10}{group['negatives']:>10}"
            f"{group['subgroup_auc']:>10.3f}{group['bpsn_auc']:>8.3f}{group['bnsp_auc']:>8.3f}"
        )
    if bias_details["left_out"]:
        fewest = bias_details["min_examples"]
        print(f"left out, with fewer than {fewest} of one kind: {', '.join(bias_details['left_out'])}")


# --- Data -------------------------------------------------------------------------------------------------


@dataclass
class TweetLoader:
    """One split of the data in batches; with a random generator, in a new order each time."""

    ids: np.ndarray
    texts: list[str]
    labels: np.ndarray
    batch_size: int
    shuffle: np.random.Generator | None = None

    def __iter__(self) -> Iterator[tuple[list[str], np.ndarray]]:
        order = np.arange(len(self.texts))
        if self.shuffle is not None:
            self.shuffle.shuffle(order)
        for start in range(0, len(order), self.batch_size):
            batch = order[start : start + self.batch_size]
            yield [self.texts[row] for row in batch], self.labels[batch]


def load_tweets(path: Path) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Read the row numbers, the texts and the binary labels of the data set."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    ids = np.array([int(row[""]) for row in rows])
    labels = np.array([int(row["class"]) != NEITHER for row in rows], dtype=int)
    return ids, [row["tweet"] for row in rows], labels


def make_loaders(path: Path, config: TrainingConfig) -> tuple[TweetLoader, TweetLoader, TweetLoader]:
    """Split the data into training, validation (a tenth) and test, stratified by label."""
    ids, texts, labels = load_tweets(path)
    rows = np.arange(len(ids))
    if config.limit is not None and config.limit < len(rows):
        rows, _ = train_test_split(rows, train_size=config.limit, stratify=labels, random_state=config.seed)
    rest, test = train_test_split(rows, test_size=config.test_fraction, stratify=labels[rows], random_state=config.seed)
    train, val = train_test_split(rest, test_size=len(rows) // 10, stratify=labels[rest], random_state=config.seed)

    def loader(rows: np.ndarray, shuffle: np.random.Generator | None = None) -> TweetLoader:
        return TweetLoader(ids[rows], [texts[row] for row in rows], labels[rows], config.batch_size, shuffle)

    return loader(train, np.random.default_rng(config.seed)), loader(val), loader(test)


# --- Model ------------------------------------------------------------------------------------------------


class HateClassifier:
    """Logistic regression on word counts, trained in batches by stochastic gradient descent."""

    def __init__(self, config: TrainingConfig) -> None:
        self.config = config
        self.vectorizer = CountVectorizer(min_df=config.min_document_frequency)
        self.linear = SGDClassifier(
            loss="log_loss",
            learning_rate="constant",
            eta0=config.learning_rate,
            alpha=config.l2_penalty,
            random_state=config.seed,
        )

    def train(self, train_loader: TweetLoader, val_loader: TweetLoader) -> dict[str, list[float]]:
        """Train for the configured epochs and return the loss and the accuracy of each."""
        self.vectorizer.fit(train_loader.texts)
        history: dict[str, list[float]] = {"loss": [], "accuracy": [], "val_loss": [], "val_accuracy": []}
        for _ in range(self.config.epochs):
            for texts, labels in train_loader:
                self.linear.partial_fit(self.vectorizer.transform(texts), labels, classes=[0, 1])
            for prefix, loader in (("", train_loader), ("val_", val_loader)):
                probabilities = self.predict_probabilities(loader.texts)
                history[prefix + "loss"].append(log_loss(loader.labels, probabilities))
                history[prefix + "accuracy"].append(accuracy_score(loader.labels, probabilities > 0.5))
            if history["val_loss"][-1] == min(history["val_loss"]):
                self.save("best_model")
        self.save("final_model")
        return history

    def predict(self, test_loader: TweetLoader, *, return_attentions: bool = False) -> dict[str, Any]:
        """Predict a split and return the predictions with their accuracy and macro F1.

        What a linear model attends to is what each word adds to the score, its weight times its count: the
        attentions are a sparse matrix with a row for each tweet and a column for each word of the vocabulary.
        """
        probabilities = self.predict_probabilities(test_loader.texts)
        predictions = (probabilities > 0.5).astype(int)
        results = {
            "ids": test_loader.ids,
            "labels": test_loader.labels,
            "predictions": predictions,
            "probabilities": probabilities,
            "accuracy": accuracy_score(test_loader.labels, predictions),
            "f1": f1_score(test_loader.labels, predictions, average="macro"),
        }
        if return_attentions:
            counts = self.vectorizer.transform(test_loader.texts)
            results["attentions"] = csr_array(counts.multiply(self.linear.coef_))
        return results

    def predict_probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """Return the probability of "hate or offensive" for each text."""
        probabilities: np.ndarray = self.linear.predict_proba(self.vectorizer.transform(texts))
        return probabilities[:, 1]

    def save(self, name: str) -> None:
        """Write the model into a folder of its own in `config.save_dir`."""
        folder = Path(self.config.save_dir) / name
        folder.mkdir(parents=True, exist_ok=True)
        joblib.dump({"vectorizer": self.vectorizer, "linear": self.linear}, folder / "model.joblib")


# --- Bias metrics -----------------------------------------------------------------------------------------


def find_subgroups(texts: Sequence[str]) -> dict[str, np.ndarray]:
    """Tell for each identity group which texts contain one of its terms as a whole word."""
    subgroups = {}
    for name, terms in IDENTITY_TERMS.items():
        pattern = re.compile(rf"\b(?:{'|'.join(terms)})\b", re.IGNORECASE)
        subgroups[name] = np.array([pattern.search(text) is not None for text in texts], dtype=bool)
    return subgroups


def generalized_mean(values: Sequence[float], power: float) -> float:
    """Return the power mean of non-negative values; with a negative power the worst ones count most."""
    if not values:
        return float("nan")
    if power < 0 and min(values) == 0:
        return 0.0  # The limit: a single 0 pulls every mean with a negative power down to 0.
    return float(np.mean(np.asarray(values, dtype=float) ** power) ** (1 / power))


def calculate_gmb_metrics(
    labels: np.ndarray,
    scores: np.ndarray,
    subgroups: Mapping[str, np.ndarray],
    *,
    power: float = -5,
    min_examples: int = 10,
) -> tuple[dict[str, float], dict[str, Any]]:
    """Return the generalized means of the bias AUCs over identity subgroups, and the details behind them.

    The three AUCs of a subgroup come from Borkan et al., "Nuanced Metrics for Measuring Unintended Bias with
    Real Data for Text Classification" (WWW 2019 Companion):

    - subgroup AUC: the subgroup's positives against its negatives;
    - BPSN AUC: background positives against subgroup negatives (low: harmless mentions score too high);
    - BNSP AUC: subgroup positives against background negatives (low: attacks score too low).

    Their generalized mean with power -5 is the one of the Jigsaw competition on unintended bias (2019), which
    the authors of that paper set up.

    Args:
        labels: 1 for positive, 0 for negative.
        scores: the higher, the more likely positive.
        subgroups: for each subgroup, which examples belong to it.
        power: the power of the generalized mean.
        min_examples: a subgroup with fewer positives or negatives, in it or in its background, is left out.

    Returns:
        The means, NaN where every subgroup was left out, with the AUC over all examples; and the numbers of
        each subgroup, with the sizes of those that were left out.
    """
    positive = np.asarray(labels) == 1
    scores = np.asarray(scores, dtype=float)
    evaluated: dict[str, dict[str, float]] = {}
    left_out: dict[str, dict[str, int]] = {}
    for name, members in subgroups.items():
        member = np.asarray(members, dtype=bool)
        sizes = {
            "positives": int(np.sum(member & positive)),
            "negatives": int(np.sum(member & ~positive)),
            "background_positives": int(np.sum(~member & positive)),
            "background_negatives": int(np.sum(~member & ~positive)),
        }
        if min(sizes.values()) < max(min_examples, 1):
            left_out[name] = sizes
            continue
        bpsn = member != positive  # In exactly one of the two: background positives and subgroup negatives.
        evaluated[name] = {
            **sizes,
            "subgroup_auc": float(roc_auc_score(positive[member], scores[member])),
            "bpsn_auc": float(roc_auc_score(positive[bpsn], scores[bpsn])),
            "bnsp_auc": float(roc_auc_score(positive[~bpsn], scores[~bpsn])),
        }

    gmb_metrics = {
        f"gmb_{auc}": generalized_mean([group[auc] for group in evaluated.values()], power)
        for auc in ("subgroup_auc", "bpsn_auc", "bnsp_auc")
    }
    gmb_metrics["overall_auc"] = float(roc_auc_score(positive, scores))
    bias_details = {
        "power": power,
        "min_examples": min_examples,
        "subgroups": evaluated,
        "left_out": left_out,
    }
    return gmb_metrics, bias_details


# --- Rationales -------------------------------------------------------------------------------------------


@dataclass
class Faithfulness:
    """The rationales of a classifier, and its predictions without them and from them alone.

    Everything has one entry for each text; the probabilities are those of the class predicted from the full
    text. Comprehensiveness and sufficiency follow ERASER (DeYoung et al., ACL 2020).
    """

    predicted: np.ndarray
    rationales: list[np.ndarray]
    full: np.ndarray
    without_rationale: np.ndarray
    rationale_only: np.ndarray

    @property
    def comprehensiveness(self) -> float:
        """What the prediction loses without its rationale, on average: high is faithful."""
        return float(np.mean(self.full - self.without_rationale))

    @property
    def sufficiency(self) -> float:
        """What the prediction loses when only its rationale is left, on average: low is faithful."""
        return float(np.mean(self.full - self.rationale_only))


def explain_linear(contributions: Any, intercept: float, top_k: int) -> Faithfulness:
    """Choose the rationales of a logistic regression and predict without them and from them alone.

    The rationale of a text is the set of words that add most to the score of the predicted class, up to `top_k`.
    A word that speaks against the prediction is never among them, so a rationale may be shorter, even empty.

    Args:
        contributions: weight times count, a row for each text and a column for each word; sparse or dense.
        intercept: the intercept of the regression.
        top_k: the most words in a rationale.

    Returns:
        The rationales as column numbers, the strongest first, with the probabilities.
    """
    matrix = csr_array(contributions)
    scores = matrix.sum(axis=1) + intercept
    direction = np.where(scores > 0, 1.0, -1.0)
    rationales = []
    rationale_scores = np.zeros(len(scores))
    for row, towards in enumerate(direction):
        entries = slice(matrix.indptr[row], matrix.indptr[row + 1])
        words, support = matrix.indices[entries], matrix.data[entries] * towards
        strongest = np.argsort(-support, kind="stable")[:top_k]
        strongest = strongest[support[strongest] > 0]
        rationales.append(words[strongest])
        rationale_scores[row] = support[strongest].sum() * towards

    return Faithfulness(
        predicted=(direction > 0).astype(int),
        rationales=rationales,
        full=expit(direction * scores),
        without_rationale=expit(direction * (scores - rationale_scores)),
        rationale_only=expit(direction * (intercept + rationale_scores)),
    )


def token_spans(positions: Sequence[int]) -> list[dict[str, int]]:
    """Join token positions into spans, each from its first token to the one after its last."""
    spans: list[dict[str, int]] = []
    for position in sorted(positions):
        if spans and spans[-1]["end_token"] == position:
            spans[-1]["end_token"] = position + 1
        else:
            spans.append({"start_token": position, "end_token": position + 1})
    return spans


class FaithfulnessCalculator:
    """The faithfulness of a classifier's rationales, and the rationales themselves in ERASER's form."""

    def __init__(self, model: HateClassifier) -> None:
        self.model = model

    def compute_all_metrics(
        self, test_loader: TweetLoader, results: Mapping[str, Any], eraser_path: Path
    ) -> dict[str, float]:
        """Return the averages over a split, and write each rationale to `eraser_path`, one a line."""
        top_k = self.model.config.rationale_words
        explained = explain_linear(results["attentions"], float(self.model.linear.intercept_[0]), top_k)
        with eraser_path.open("w", encoding="utf-8") as file:
            for row, text in enumerate(test_loader.texts):
                entry = self.eraser_entry(f"tweet-{test_loader.ids[row]}", text, explained, row)
                file.write(json.dumps(entry) + "\n")
        return {
            "comprehensiveness": explained.comprehensiveness,
            "sufficiency": explained.sufficiency,
            "mean_rationale_words": float(np.mean([len(words) for words in explained.rationales])),
        }

    def eraser_entry(self, docid: str, text: str, explained: Faithfulness, row: int) -> dict[str, Any]:
        """Return one prediction with its rationale, as ERASER's JSONL wants it."""
        column = self.model.vectorizer.vocabulary_
        tokens = self.model.vectorizer.build_analyzer()(text)
        rationale = set(explained.rationales[row].tolist())
        spans = token_spans([place for place, token in enumerate(tokens) if column.get(token) in rationale])
        predicted = int(explained.predicted[row])

        def scores(probabilities: np.ndarray) -> dict[str, float]:
            probability = float(probabilities[row])
            return {LABELS[predicted]: probability, LABELS[1 - predicted]: 1 - probability}

        return {
            "annotation_id": docid,
            "rationales": [{"docid": docid, "hard_rationale_predictions": spans}],
            "classification": LABELS[predicted],
            "classification_scores": scores(explained.full),
            "comprehensiveness_classification_scores": scores(explained.without_rationale),
            "sufficiency_classification_scores": scores(explained.rationale_only),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description="Run the hate-speech pipeline as one experiment.")
    parser.add_argument("--data", type=Path, required=True, help=f"labeled_data.csv, from {DATA_SOURCE}")
    parser.add_argument("--limit", type=int, help="use a sample of this many tweets")
    parser.add_argument("--epochs", type=int, default=TrainingConfig.epochs)
    arguments = parser.parse_args()
    if not arguments.data.is_file():
        parser.error(f"there is no file {arguments.data}; get it from {DATA_SOURCE}")
    run_pipeline(arguments.data, TrainingConfig(limit=arguments.limit, epochs=arguments.epochs))


if __name__ == "__main__":
    main()
