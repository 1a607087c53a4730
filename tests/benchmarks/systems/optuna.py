"""Optuna's journal: not a tracker of training scripts, but the nearest to a plain file that many processes append to."""

import json
import os

import workload

TITLE = "Optuna, journal file"
PACKAGE = "optuna"
IMPORT = "import optuna"
ENVIRONMENT = {}
ABSENT = {"compare": "it compares trials in figures only"}
INDEX = "journal.log"


def connect(base):
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    os.makedirs(base, exist_ok=True)
    storage = JournalStorage(JournalFileBackend(f"{base}/journal.log"))
    return optuna.create_study(study_name="bench", storage=storage, load_if_exists=True)


def run(session, name, config, body):
    trial = session.ask()
    trial.set_user_attr("name", name)
    trial.set_user_attr("config", config)
    # It has room for one scalar a step.
    metrics = body(lambda values, step: trial.report(values["loss"], step))
    if metrics is not None:
        trial.set_user_attr("metrics", metrics)
    session.tell(trial, (metrics or {"loss": 0.0})["loss"])


def _completed(base):
    import optuna

    return connect(base).get_trials(deepcopy=False, states=[optuna.trial.TrialState.COMPLETE])


def count(base):
    return len(_completed(base))


def listing(base):
    wanted = [trial for trial in _completed(base) if workload.is_wanted(trial.user_attrs["config"])]
    wanted.sort(key=lambda trial: -trial.user_attrs["metrics"]["f1"])
    return [trial.user_attrs["name"] for trial in wanted]


def history(base):
    (trial,) = connect(base).get_trials(deepcopy=False)
    return {"loss": [trial.intermediate_values[step] for step in sorted(trial.intermediate_values)]}


def prepare(base, count):
    """Copies of the lines of one real trial, each with its own values; trials are numbered as they come."""
    path = f"{base}/journal.log"
    session = connect(base)
    with open(path) as file:
        head = file.read()
    run(session, workload.name(0), workload.config(0), lambda log: workload.metrics(0))
    with open(path) as file:
        lines = [json.loads(line) for line in file.read().removeprefix(head).splitlines()]
    with open(path, "a") as file:
        for index in range(1, count):
            own = {"name": workload.name(index), "config": workload.config(index), "metrics": workload.metrics(index)}
            for line in lines:
                new = dict(line)
                if "trial_id" in new:
                    new["trial_id"] = index
                if "user_attr" in new:
                    new["user_attr"] = {key: own[key] for key in new["user_attr"]}
                if new.get("values"):
                    new["values"] = [own["metrics"]["loss"]]
                file.write(json.dumps(new, separators=(",", ":")) + "\n")
