"""Track a training function with one line: its arguments are the config, what it returns the final metrics.

The learning rate of the last run is far too large. The run raises, the caller gets the exception as ever, and
the experiment stays on record as failed, with its settings, its history and its traceback.

    python examples/decorated_training.py
"""

from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPRegressor

from runbook import Experiment, ExperimentManager, tracked


@tracked(tags=["diabetes"])
def train(exp: Experiment, learning_rate: float, epochs: int = 40, seed: int = 0) -> dict[str, float]:
    """Train a small network on the diabetes data; callers leave out `exp`, the live experiment."""
    patients, progression = load_diabetes(return_X_y=True)
    x_train, x_val, y_train, y_val = train_test_split(patients, progression, random_state=seed)
    model = MLPRegressor(solver="sgd", learning_rate_init=learning_rate, random_state=seed)
    for epoch in range(epochs):
        model.partial_fit(x_train, y_train)
        exp.log({"loss": model.loss_, "val_r2": model.score(x_val, y_val)}, step=epoch)
        if model.loss_ > 1e9 * y_train.var():
            raise FloatingPointError(f"training diverged in epoch {epoch}: loss {model.loss_:.3g}")
    return {"loss": model.loss_, "val_r2": model.score(x_val, y_val)}


def main() -> None:
    for learning_rate in (0.0003, 0.001, 2.0):
        try:
            metrics = train(learning_rate)
        except FloatingPointError as error:
            print(f"learning rate {learning_rate}: {error}")
        else:
            print(f"learning rate {learning_rate}: R² {metrics['val_r2']:.3f}")

    manager = ExperimentManager()
    manager.print_experiment_summary()
    for failed in manager.list_experiments(status="failed"):
        steps = manager.get_experiment(failed["experiment_id"]).history()["step"]
        print(f"{failed['experiment_id']} failed after {len(steps)} epochs; see {failed['directory']}/logs")


if __name__ == "__main__":
    main()
