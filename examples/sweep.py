"""Sweep over learning rates and seeds with a classifier in plain Python, and keep every run, the bad ones included.

Each learning rate is trained with four seeds, which is what tells a better setting from a lucky seed. One run diverges
and ends as failed, one is stopped by Ctrl-C and ends as interrupted; the sweep goes on after both.

    python examples/sweep.py
    runbook ls
"""

import math
import random
import signal
from dataclasses import dataclass

from runbook import experiment

Point = tuple[list[float], int]


@dataclass(frozen=True)
class Config:
    """The settings of one training."""

    learning_rate: float
    seed: int
    epochs: int = 15
    l2: float = 0.001


def make_points(count: int, seed: int, *, features: int = 10, noise: float = 1.5) -> list[Point]:
    """Draw points of two classes, which are not quite separable."""
    dice = random.Random(seed)
    points = []
    for _ in range(count):
        x = [dice.uniform(-1, 1) for _ in range(features)]
        score = dot(x, [1.0, -1.0] * (features // 2)) + noise * dice.uniform(-1, 1)
        points.append((x, int(score > 0)))
    return points


def dot(left: list[float], right: list[float]) -> float:
    """Multiply two vectors; a loop, because `sum` rounds differently from one Python to the next."""
    total = 0.0
    for a, b in zip(left, right, strict=True):
        total += a * b
    return total


def probability(weights: list[float], x: list[float]) -> float:
    """Tell how likely class 1 is."""
    return (1 + math.tanh(dot(weights, x) / 2)) / 2


def log_loss(weights: list[float], points: list[Point]) -> float:
    """Average the negative logarithm of the probability of the true class."""
    total = 0.0
    for x, y in points:
        margin = dot(weights, x) * (2 * y - 1)
        total += max(0.0, -margin) + math.log1p(math.exp(-abs(margin)))
    return total / len(points)


def f1_score(y_true: list[int], y_pred: list[int]) -> float:
    """Compute the harmonic mean of precision and recall of class 1."""
    hits = sum(map(int.__mul__, y_true, y_pred))
    return 2 * hits / (sum(y_true) + sum(y_pred))


def train(config: Config, *, stop_at: int | None = None) -> None:
    """Train a logistic regression by stochastic gradient descent; `stop_at` is the epoch of a Ctrl-C."""
    pool, test = make_points(400, seed=1), make_points(300, seed=2)
    with experiment(config, name="logreg", tags=["sweep"]) as exp:
        dice = random.Random(config.seed)
        points = dice.sample(pool, 150)
        weights = [dice.uniform(-1, 1) for _ in points[0][0]]
        for epoch in range(config.epochs):
            for x, y in dice.sample(points, len(points)):
                error = probability(weights, x) - y
                weights = [
                    weight - config.learning_rate * (error * value + config.l2 * weight)
                    for weight, value in zip(weights, x, strict=True)
                ]
            loss = log_loss(weights, points)
            exp.log({"loss": loss, "val_loss": log_loss(weights, test)}, step=epoch)
            exp.progress(epoch + 1, config.epochs)
            if not math.isfinite(loss):
                exp.note("try a lower learning rate")
                raise FloatingPointError(f"the loss is {loss} after epoch {epoch}")
            if epoch == stop_at:
                signal.raise_signal(signal.SIGINT)

        y_true = [y for _, y in test]
        y_pred = [int(probability(weights, x) > 0.5) for x, _ in test]
        exp.save_predictions({"y_true": y_true, "y_pred": y_pred}, "predictions.json")
        exp.save_final_metrics({"test_f1": f1_score(y_true, y_pred), "test_loss": log_loss(weights, test)})


def main() -> None:
    # A job in the background of a shell ignores Ctrl-C unless it says otherwise.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for learning_rate in (0.003, 0.03, 0.3):
        for seed in range(4):
            train(Config(learning_rate, seed))
    try:
        train(Config(learning_rate=3000.0, seed=0))
    except FloatingPointError as error:
        print(f"diverged: {error}")
    try:
        train(Config(learning_rate=0.03, seed=4), stop_at=6)
    except KeyboardInterrupt:
        print("stopped by Ctrl-C")


if __name__ == "__main__":
    main()
