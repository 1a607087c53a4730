"""Train a digit classifier with four learning rates and compare them: `python examples/quickstart.py`."""

from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

from runbook import ExperimentManager, experiment


def main() -> None:
    images, digits = load_digits(return_X_y=True)
    x_train, x_val, y_train, y_val = train_test_split(images / 16, digits, random_state=0)

    for learning_rate in (0.0001, 0.001, 0.01, 0.1):
        config = {"model": "sgd", "learning_rate": learning_rate, "epochs": 15, "seed": 0}
        with experiment(config, name=f"digits_lr{learning_rate}", tags=["quickstart"]) as exp:
            model = SGDClassifier(
                loss="log_loss", learning_rate="constant", eta0=learning_rate, random_state=config["seed"]
            )
            for epoch in range(config["epochs"]):
                model.partial_fit(x_train, y_train, classes=range(10))
                loss = log_loss(y_val, model.predict_proba(x_val))
                exp.log({"val_loss": loss, "val_accuracy": model.score(x_val, y_val)}, step=epoch)
            exp.save_final_metrics({"val_accuracy": model.score(x_val, y_val), "val_loss": loss})

    ExperimentManager().print_experiment_summary()


if __name__ == "__main__":
    main()
