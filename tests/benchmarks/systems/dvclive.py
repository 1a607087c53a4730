"""DVCLive without a DVC repository: a folder of text files an experiment."""

import os
from pathlib import Path

import workload

from systems import copies

TITLE = "DVCLive"
PACKAGE = "dvclive"
IMPORT = "from dvclive import Live"
ENVIRONMENT = {"DVC_NO_ANALYTICS": "true", "DVC_STUDIO_OFFLINE": "true"}
ABSENT = {
    "list": "experiments are listed by DVC alone, from commits that it makes",
    "compare": "experiments are compared by DVC alone, from commits that it makes",
}


def connect(base):
    os.makedirs(base, exist_ok=True)
    from dvclive import Live

    return Live, base


def run(session, name, config, body):
    make, base = session
    with make(dir=f"{base}/{name}", save_dvc_exp=False, dvcyaml=None) as live:
        live.log_params(config)

        def log(values, step):
            live.step = step
            for series, value in values.items():
                live.log_metric(series, value)

        metrics = body(log)
        if metrics is not None:
            live.summary.update(metrics)


def count(base):
    return len(list(Path(base).glob("*/params.yaml")))


def history(base):
    from dvclive.utils import parse_tsv

    (folder,) = Path(base).glob("*/plots/metrics")
    return {name: [float(row[name]) for row in parse_tsv(folder / f"{name}.tsv")] for name in workload.SERIES}


def prepare(base, count):
    """Copies of the folder of one real experiment."""
    run(connect(base), workload.name(0), workload.config(0), lambda log: workload.metrics(0))
    copies.of(f"{base}/{workload.name(0)}", (workload.name(index) for index in range(1, count)))
