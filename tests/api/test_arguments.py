"""The config of a tracked call, and the arguments that the function gets."""

from __future__ import annotations

import inspect
import json
from collections import OrderedDict
from dataclasses import dataclass
from types import SimpleNamespace
from typing import NamedTuple

import pytest

import runbook
import runbook as rb
from runbook import Experiment, ExperimentManager, UsageError, tracked
from runbook import Experiment as Exp
from runbook.api.arguments import Binding
from runbook.read.view import record_of


@dataclass
class Config:
    lr: float = 0.1
    save_dir: str = "./checkpoints"


@dataclass(frozen=True)
class FrozenConfig:
    lr: float = 0.1
    save_dir: str = "./checkpoints"


class Pair(NamedTuple):
    lr: float
    epochs: int


def none():
    return ()


def one(lr):
    return (lr,)


def defaults(lr, epochs=3, *, seed=0):
    return (lr, epochs, seed)


def positional_only(a, b=2, /, c=3):
    return (a, b, c)


def positional_only_and_rest(a, /, **rest):
    return (a, rest)


def many(*args):
    return args


def many_and_rest(*args, **rest):
    return (args, rest)


def everything(a, /, b, *args, c=1, d, **rest):
    return (a, b, args, c, d, rest)


def mutable(options={}, names=[]):
    return (options, names)


CALLS = [
    (none, (), {}),
    (one, (0.1,), {}),
    (one, (), {"lr": 0.1}),
    (one, (None,), {}),
    (one, (Config(),), {}),
    (defaults, (0.1,), {}),
    (defaults, (0.1, 5), {"seed": 7}),
    (defaults, (), {"seed": 7, "lr": 0.1, "epochs": 2}),
    (positional_only, (1,), {}),
    (positional_only, (1, 5), {"c": 6}),
    (positional_only_and_rest, (1,), {"b": 2}),
    (positional_only_and_rest, (1,), {"a": 2}),
    (positional_only_and_rest, (1,), {"rest": 2}),
    (many, (), {}),
    (many, (1, 2, 3), {}),
    (many_and_rest, (1, 2), {"x": 3}),
    (many_and_rest, (1,), {"args": 2}),
    (many_and_rest, (1,), {"rest": 2}),
    (many_and_rest, (), {"self": 1, "function": 2, "options": 3}),
    (everything, (1, 2), {"d": 4}),
    (everything, (1, 2, 3, 4), {"c": 5, "d": 6, "e": 7}),
    (everything, (1, 2, 3), {"d": 4, "a": 8, "args": 9}),
    (mutable, (), {}),
]


@pytest.mark.parametrize(("function", "args", "kwargs"), CALLS)
def test_the_function_gets_exactly_what_the_caller_passed(base, function, args, kwargs):
    """Decorated and not, the same call gives the same result, whatever the parameters are called."""
    expected = function(*args, **kwargs)
    assert tracked(base_dir=base)(function)(*args, **kwargs) == expected


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "config"),
    [
        (none, (), {}, {}),
        (defaults, (0.1,), {}, {"lr": 0.1, "epochs": 3, "seed": 0}),
        (many, (1, 2), {}, {"args": [1, 2]}),
        (many_and_rest, (1,), {"x": 2}, {"args": [1], "x": 2}),
        (one, (5,), {}, {"lr": 5}),
        (one, ([1, 2],), {}, {"lr": [1, 2]}),
        (one, ({"lr": 0.1},), {}, {"lr": 0.1}),
        (one, (Pair(0.1, 3),), {}, {"lr": 0.1, "epochs": 3}),
        (one, (SimpleNamespace(a=1),), {}, {"a": 1}),
        (positional_only, (1,), {"c": 4}, {"a": 1, "b": 2, "c": 4}),
    ],
)
def test_the_bound_arguments_are_the_config(base, function, args, kwargs, config):
    """With their defaults; a single argument that is a config is taken as it is."""
    tracked(base_dir=base)(function)(*args, **kwargs)
    (entry,) = ExperimentManager(base).list_experiments()
    assert entry["config"] == config


def test_no_argument_is_missing_from_the_record_when_names_clash(base):
    """`f(1, a=2)` has two arguments, and the record shows both values."""
    tracked(base_dir=base)(positional_only_and_rest)(11, a=22)
    (entry,) = ExperimentManager(base).list_experiments()
    assert "11" in json.dumps(entry["config"])
    assert "22" in json.dumps(entry["config"])


def test_a_single_config_is_passed_on_as_the_same_object(base):
    """What the caller passed is what the function gets, with its `save_dir` pointed at the experiment."""
    config, seen = Config(), []

    @tracked(base_dir=base)
    def train(config, exp):
        seen.append((config, exp))

    train(config)
    ((got, exp),) = seen
    assert got is config
    assert exp.config is config
    assert config.save_dir == str(exp.checkpoints_dir)


def test_a_single_frozen_config_is_passed_on_as_the_changed_copy(base):
    """Otherwise the model would be saved outside of the experiment."""
    config, seen = FrozenConfig(), []

    @tracked(base_dir=base)
    def train(config, exp):
        seen.append((config, exp))

    train(config)
    ((got, exp),) = seen
    assert got.save_dir == str(exp.checkpoints_dir)
    assert got == exp.config
    assert config == FrozenConfig()


def test_save_dir_is_pointed_wherever_it_is_an_argument(base):
    """As an argument, and inside arguments that are configs, in place or as a copy; other arguments stay."""
    mutable_config, frozen, other = Config(), FrozenConfig(), {"nested": {"save_dir": "mine"}}
    seen = {}

    @tracked(base_dir=base)
    def train(config, frozen, other, save_dir="./out", *, exp):
        seen.update(config=config, frozen=frozen, other=other, save_dir=save_dir, exp=exp)

    train(mutable_config, frozen, other)
    checkpoints = str(seen["exp"].checkpoints_dir)
    assert seen["save_dir"] == checkpoints
    assert seen["config"] is mutable_config
    assert mutable_config.save_dir == checkpoints
    assert seen["frozen"].save_dir == checkpoints
    assert frozen.save_dir == "./checkpoints"
    assert seen["other"] is other
    assert other == {"nested": {"save_dir": "mine"}}
    recorded = json.loads((seen["exp"].path / "config.json").read_text())
    assert recorded["save_dir"] == recorded["config"]["save_dir"] == recorded["frozen"]["save_dir"] == checkpoints


def test_save_dir_among_the_keywords_is_pointed_too(base):
    """`**kwargs` are arguments like any other."""
    seen = {}

    @tracked(base_dir=base)
    def train(**kwargs):
        seen.update(kwargs)

    train(lr=0.1, save_dir="out")
    (entry,) = ExperimentManager(base).list_experiments()
    assert seen["save_dir"].endswith("checkpoints")
    assert entry["experiment_id"] in seen["save_dir"]


def test_a_default_save_dir_is_not_changed_for_the_next_call(base):
    """Each call gets its own folder, and the function's defaults stay what they were."""
    seen = []

    @tracked(base_dir=base)
    def train(lr, save_dir="./out"):
        seen.append(save_dir)

    train(1)
    train(2)
    assert len(set(seen)) == 2
    assert inspect.signature(train).parameters["save_dir"].default == "./out"


def test_config_names_the_parameter_that_is_the_config(base):
    """The others are then not part of it, but reach the function."""
    seen = {}

    @tracked(base_dir=base, config="config")
    def train(loader, config, verbose=False):
        seen.update(loader=loader, config=config, verbose=verbose)

    train("data", {"lr": 0.1}, verbose=True)
    (entry,) = ExperimentManager(base).list_experiments()
    assert entry["config"] == {"lr": 0.1}
    assert seen == {"loader": "data", "config": {"lr": 0.1}, "verbose": True}


def test_config_can_be_one_that_is_the_same_for_each_call(base):
    """The arguments then are not part of it."""

    @tracked(base_dir=base, config={"lr": 0.1})
    def train(data):
        return data

    assert train("rows") == "rows"
    (entry,) = ExperimentManager(base).list_experiments()
    assert entry["config"] == {"lr": 0.1}


def test_config_that_names_no_parameter_is_refused_at_once(base):
    """The message names the function and the parameters that there are."""
    with pytest.raises(UsageError, match=r"train\(\) has no parameter 'cfg'.*it has: lr, epochs"):

        @tracked(base_dir=base, config="cfg")
        def train(lr, epochs):
            """Never called."""

    assert not base.exists()


@pytest.mark.parametrize(
    ("args", "kwargs", "words"),
    [((), {}, "lr"), ((1, 2, 3, 4), {}, "positional"), ((1,), {"lr": 2}, "lr"), ((1,), {"unknown": 2}, "unknown")],
)
def test_arguments_that_do_not_fit_make_nothing(base, args, kwargs, words):
    """A TypeError, as from the function itself, before anything is on disk."""
    with pytest.raises(TypeError, match=words):
        tracked(base_dir=base)(defaults)(*args, **kwargs)
    assert not base.exists()


# --- the receiver ----------------------------------------------------------------------------------------------------


def by_name(lr, exp):
    return exp


def by_name_first(exp, lr):
    return exp


def by_name_between(a, exp, lr=1):
    return exp


def by_keyword(lr, *, exp):
    return exp


def by_position_only(exp, /, lr):
    return exp


def by_annotation(lr, run: Experiment):
    return run


def by_annotation_with_default(lr, run: Experiment = None):
    return run


def by_module(lr, run: runbook.Experiment):
    return run


def by_alias_of_the_module(lr, run: rb.Experiment):
    return run


def by_alias(lr, run: Exp):
    return run


def by_quoted(lr, run: "Experiment"):  # noqa: UP037 - quotes inside of postponed annotations stay
    return run


def with_rest(lr, exp, *args, **rest):
    return exp


def with_rest_after(*args, exp, lr=1):
    return exp


def annotated_for_real(lr, run):
    return run


annotated_for_real.__annotations__ = {"run": Experiment}

RECEIVERS = [
    by_name,
    by_name_first,
    by_name_between,
    by_keyword,
    by_position_only,
    by_annotation,
    by_annotation_with_default,
    by_module,
    by_alias_of_the_module,
    by_alias,
    by_quoted,
    with_rest,
    with_rest_after,
    annotated_for_real,
]


@pytest.mark.parametrize("function", RECEIVERS, ids=lambda function: function.__name__)
def test_the_receiver_gets_the_live_experiment_and_vanishes(base, function):
    """By annotation or by name, wherever it stands; callers neither see it nor pass it."""
    wrapped = tracked(base_dir=base)(function)
    exp = wrapped(5)
    assert isinstance(exp, Experiment)
    assert not {"exp", "run"} & set(inspect.signature(wrapped).parameters)
    assert not {"exp", "run"} & set(record_of(exp).config)
    assert 5 in record_of(exp).config.values() or [5] in record_of(exp).config.values()


def test_a_receiver_that_is_passed_by_keyword_is_refused(base):
    """A caller that passes it gets a TypeError."""
    with pytest.raises(TypeError, match="exp"):
        tracked(base_dir=base)(by_name)(1, exp=2)


def with_default(lr, exp=None):
    return exp


def called_otherwise(lr, experiment):
    return experiment


def rest_called_exp(*exp):
    return exp


def keywords_called_exp(**exp):
    return exp


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "result"),
    [
        (with_default, (1,), {}, None),
        (with_default, (1, "mine"), {}, "mine"),
        (called_otherwise, (1, "mine"), {}, "mine"),
        (rest_called_exp, (1, 2), {}, (1, 2)),
        (keywords_called_exp, (), {"a": 1}, {"a": 1}),
    ],
)
def test_other_parameters_are_the_users(base, function, args, kwargs, result):
    """`exp` with a default, other names, and variadic parameters are arguments like any other."""
    assert tracked(base_dir=base)(function)(*args, **kwargs) == result


def test_a_class_of_the_users_own_that_is_called_experiment_is_not_ours(base):
    """Two libraries may have a class of that name; only ours is filled in."""
    namespace = {"tracked": tracked(base_dir=base)}
    exec(
        "from __future__ import annotations\n"
        "class Experiment:\n"
        "    def __init__(self, arm): self.arm = arm\n"
        "@tracked\n"
        "def analyse(setup: Experiment, alpha=0.05):\n"
        "    return setup.arm, alpha\n"
        "result = analyse(Experiment('control'))\n",
        namespace,
    )
    assert namespace["result"] == ("control", 0.05)


def test_an_annotation_that_is_imported_for_the_type_checker_alone_is_understood(base):
    """`if TYPE_CHECKING: from runbook import Experiment` leaves a name that exists nowhere at run time."""
    namespace = {"tracked": tracked(base_dir=base)}
    exec(
        "from __future__ import annotations\n"
        "@tracked\n"
        "def train(lr, run: Experiment):\n"
        "    return run\n"
        "result = train(0.1)\n",
        namespace,
    )
    assert isinstance(namespace["result"], Experiment)


# --- self and cls ----------------------------------------------------------------------------------------------------


def test_self_is_no_setting(base):
    """The instance is not part of the config, and a single argument beside it can be the config."""

    class Trainer:
        @tracked(base_dir=base)
        def fit(self, config, exp):
            return self, config, exp

        @tracked(base_dir=base)
        def plain(self, lr, epochs=2):
            return self, lr, epochs

    trainer, config = Trainer(), Config()
    got_self, got_config, exp = trainer.fit(config)
    assert got_self is trainer
    assert got_config is config
    assert set(record_of(exp).config) == {"lr", "save_dir"}
    assert trainer.plain(0.5) == (trainer, 0.5, 2)
    assert ExperimentManager(base).get_experiment("plain").config == {"lr": 0.5, "epochs": 2}


def test_a_parameter_called_self_that_is_not_first_is_a_setting(base):
    """Only the first one is the instance."""

    def odd(lr, self):
        return lr, self

    assert tracked(base_dir=base)(odd)(1, 2) == (1, 2)
    assert ExperimentManager(base).get_experiment("odd").config == {"lr": 1, "self": 2}


def test_a_binding_leaves_the_mapping_that_it_was_given_alone():
    """Binding a call changes nothing of the caller's."""
    binding = Binding(many_and_rest)
    kwargs = {"x": [1]}
    call = binding.bind((1,), kwargs)
    assert kwargs == {"x": [1]}
    assert call.config == {"args": (1,), "x": [1]}
    assert call.config["x"] is kwargs["x"]


def test_ordered_mappings_reach_the_function_as_they_are(base):
    """A mapping of its own kind stays of its kind."""
    config = OrderedDict(lr=0.1)
    assert tracked(base_dir=base)(lambda config: config)(config) is config
