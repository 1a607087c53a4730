"""What every system is given to record: the same experiments, the same numbers, made from their index alone."""

from __future__ import annotations

import math

LEARNING_RATES = (1e-5, 1e-4, 1e-3, 1e-2)
SERIES = ("loss", "accuracy", "grad_norm")
RANKED_BY = "f1"


def name(index):
    """The name of one experiment."""
    return f"bench-{index}"


def config(index):
    """Thirty settings, as a training script has them."""
    return {
        "model": "distilbert-base-uncased",
        "dataset": "hatexplain",
        "optimizer": "adamw",
        "scheduler": "linear",
        "precision": "bf16",
        "pooling": "mean",
        "device": "cuda:0",
        "loss": "focal",
        "learning_rate": LEARNING_RATES[index % len(LEARNING_RATES)],
        "seed": index,
        "epochs": 5,
        "batch_size": 32,
        "max_length": 128,
        "hidden_size": 768,
        "layers": 6,
        "heads": 12,
        "warmup_steps": 500,
        "eval_steps": 200,
        "patience": 3,
        "workers": 4,
        "dropout": 0.1,
        "weight_decay": 0.01,
        "beta1": 0.9,
        "beta2": 0.999,
        "epsilon": 1e-8,
        "clip_norm": 1.0,
        "focal_gamma": 2.0,
        "label_smoothing": 0.05,
        "shuffle": True,
        "freeze_embeddings": False,
    }


def metrics(index):
    """The final metrics of one experiment; no two experiments have the same `f1`."""
    return {"f1": (index * 0.6180339887498949) % 1.0, "loss": 1 / (index + 2)}


def step(number):
    """The three scalars of one step."""
    return {"loss": 1 / (number + 1), "accuracy": 1 - math.exp(-number / 5e4), "grad_norm": (number * 0.7548777) % 1}


def is_wanted(settings):
    """The filter of the listing: it holds for half of all experiments."""
    return float(settings["learning_rate"]) < 1e-3


def best(count):
    """The names that the listing of `count` experiments must give: filtered, highest `f1` first."""
    wanted = [index for index in range(count) if is_wanted(config(index))]
    return [name(index) for index in sorted(wanted, key=lambda index: -metrics(index)[RANKED_BY])]


def extra(index):
    """The config of an experiment that a measurement adds: the listing's filter leaves it out."""
    return {**config(index), "learning_rate": LEARNING_RATES[-1]}
