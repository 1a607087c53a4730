"""Sweep over settings in several processes, every training an experiment of its own.

The workers share nothing but the base directory; each result is read back from there when all are done.

    python examples/multiprocessing_sweep.py --workers 4
"""

import argparse
import itertools
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC

from runbook import ExperimentManager, experiment


@dataclass
class SweepConfig:
    """The settings of one training."""

    kernel: str
    regularization: float
    seed: int = 0


def train(config: SweepConfig) -> str:
    """Train a support vector machine on the digits and return the id of its experiment."""
    images, digits = load_digits(return_X_y=True)
    x_train, x_val, y_train, y_val = train_test_split(images / 16, digits, random_state=config.seed)
    with experiment(config, name=f"svc_{config.kernel}", tags=["sweep"]) as exp:
        model = SVC(kernel=config.kernel, C=config.regularization).fit(x_train, y_train)
        exp.save_final_metrics(
            {"val_accuracy": model.score(x_val, y_val), "support_vectors": int(model.n_support_.sum())}
        )
    return exp.id


def main() -> None:
    parser = argparse.ArgumentParser(description="Sweep over support vector machines in parallel.")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--start-method", choices=multiprocessing.get_all_start_methods())
    arguments = parser.parse_args()

    grid = itertools.product(("linear", "rbf", "poly"), (0.1, 1.0, 10.0))
    configs = [SweepConfig(kernel, regularization) for kernel, regularization in grid]
    context = multiprocessing.get_context(arguments.start_method)
    with ProcessPoolExecutor(arguments.workers, mp_context=context) as pool:
        ids = list(pool.map(train, configs))

    comparison = ExperimentManager().compare_experiments(ids)
    print(f"the settings that differ: {', '.join(comparison['config_diff'])}")
    ranked = sorted(comparison["experiments"], key=lambda exp: exp["metrics"]["val_accuracy"], reverse=True)
    for exp in ranked:
        kernel, regularization = exp["config"]["kernel"], exp["config"]["regularization"]
        print(f"{exp['metrics']['val_accuracy']:.4f}  {kernel:<6}  C={regularization:<4}  {exp['experiment_id']}")


if __name__ == "__main__":
    main()
