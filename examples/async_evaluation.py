"""Evaluate a model under several conditions at once, each evaluation an experiment of its own.

The evaluations run together in one event loop, and yet `current_experiment()` names the right experiment in
each of them, in any function that they call.

    python examples/async_evaluation.py
"""

import asyncio

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from runbook import ExperimentManager, current_experiment, tracked

NOISE_LEVELS = (0.0, 0.2, 0.4, 0.8)


async def count_correct(model: LogisticRegression, images: np.ndarray, digits: np.ndarray) -> int:
    """Send one batch to the model, as one would to a model server, and log how it went."""
    answers = await asyncio.to_thread(model.predict, images)
    correct = int(np.sum(answers == digits))
    if exp := current_experiment():
        exp.log(batch_accuracy=correct / len(digits))
    return correct


def main() -> None:
    images, digits = load_digits(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(images / 16, digits, random_state=0)
    model = LogisticRegression().fit(x_train, y_train)

    @tracked(name="robustness", tags=["digits"])
    async def evaluate(noise: float, batch_size: int = 50, seed: int = 0) -> dict[str, float]:
        """Measure the accuracy on test images with normally distributed noise."""
        noisy = x_test + np.random.default_rng(seed).normal(0, noise, x_test.shape)
        correct = 0
        for start in range(0, len(noisy), batch_size):
            batch = slice(start, start + batch_size)
            correct += await count_correct(model, noisy[batch], y_test[batch])
        return {"accuracy": correct / len(noisy)}

    async def evaluate_all() -> list[dict[str, float]]:
        return await asyncio.gather(*[evaluate(noise) for noise in NOISE_LEVELS])

    for noise, metrics in zip(NOISE_LEVELS, asyncio.run(evaluate_all()), strict=True):
        print(f"noise {noise}: accuracy {metrics['accuracy']:.3f}")
    ExperimentManager().print_experiment_summary()


if __name__ == "__main__":
    main()
