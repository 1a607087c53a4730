"""One driver a system, all with the same functions, so that every operation is the same code for all of them.

A driver is a module with these names; one that is missing means that the system has no such thing, and `ABSENT` says so
in words:

    TITLE             what the table calls it, with the storage that is measured
    PACKAGE           what `pip install` takes; None for what runs in the environment of runbook itself
    IMPORT            the statement that brings the names that a training script uses
    ENVIRONMENT       the variables that switch off its network, its telemetry and its output
    ABSENT            {operation: why there is none}
    INDEX             the file in `base` that lists all experiments, whose size memory is compared with
    LISTING_COMMAND   the command line that lists, where there is one to measure
    connect(base)     a session: the imports, and the store in the folder `base`, made if it is missing
    run(session, name, config, body)
                      one experiment from start to finish; in the midst of it calls `body(log)`, where
                      `log(values, step=i)` records scalars; what `body` returns, if anything, are the final metrics
    captured(base)    whether the only experiment in `base` has the state of git and the packages, where that is promised
    count(base)       how many ended experiments are in `base`, from the disk
    listing(base)     the names of those for which `workload.is_wanted(config)`, highest `f1` first
    history(base)     {series: values} of the only experiment in `base`
    survivors(base)   the same of an experiment whose process was killed; `history` where there is none
    index(base)       what has to be done before experiments that ended are seen by `listing` and `history`
    compare(base, names)
                      their settings that differ, side by side: {setting: …}
    prepare(base, count)
                      experiments 0 to `count` written straight in the system's own format, where its API would take
                      hours; its `count` must find them, and what lists them is checked against the workload
"""

PEERS = ("mlflow", "wandb", "trackio", "aim", "sacred", "dvclive", "lazyscribe", "swanlab", "optuna")
OURS = ("runbook", "floor", "homemade")
ALL = OURS + PEERS
