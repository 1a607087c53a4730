"""A whole config: which values are configs, their JSON-compatible form and their hash."""

from __future__ import annotations

import argparse
import collections
import dataclasses
import enum
import functools
import json
import math
import os
import pathlib
import random
import subprocess
import sys
import types
from typing import NamedTuple

import attrs
import pytest

from runbook.config.settings import OUTPUT_KEYS, config_hash, config_to_jsonable, is_config
from runbook.errors import ConfigError
from runbook.serialize.jsonable import to_jsonable


class Mode(enum.Enum):
    FAST = "fast"


@dataclasses.dataclass
class Training:
    lr: float = 1e-3
    layers: tuple[int, ...] = (64, 32)
    mode: Mode = Mode.FAST
    data: pathlib.PurePosixPath = pathlib.PurePosixPath("/data")
    save_dir: str = "./out"


@attrs.define
class Attrs:
    lr: float = 1e-3


class Point(NamedTuple):
    lr: float


class Body:
    lr = 1e-3
    layers = (64, 32)


class WithInit(Body):
    def __init__(self):
        self.momentum = 0.9


class Empty:
    pass


class Loader:
    def __init__(self):
        self.batch_size = 4

    def __iter__(self):
        return iter(())

    def __len__(self):
        return 0


class Model:
    def __init__(self):
        self.weights = [1.0]

    def __call__(self):
        return None


class Estimator:
    def __init__(self):
        self.depth = 3

    def fit(self):
        return self

    def get_params(self):
        return vars(self)


@dataclasses.dataclass
class Loss:
    weight: float = 0.5

    def __call__(self):
        return None


def _generator():
    yield


CONFIGS = {
    "dict": {"lr": 1},
    "empty dict": {},
    "ordered dict": collections.OrderedDict(lr=1),
    "mapping proxy": types.MappingProxyType({"lr": 1}),
    "dataclass": Training(),
    "attrs": Attrs(),
    "named tuple": Point(1),
    "namespace": argparse.Namespace(lr=1),
    "simple namespace": types.SimpleNamespace(lr=1),
    "plain object": WithInit(),
    "object with class attributes only": Body(),
    "class": Body,
}

VALUES = {
    "int": 1,
    "float": math.nan,
    "bool": True,
    "str": "lr=1",
    "bytes": b"x",
    "path": pathlib.PurePosixPath("config.yaml"),
    "list": [1],
    "list of pairs": [("lr", 1)],
    "tuple": (1, 2),
    "set": {1},
    "enum": Mode.FAST,
    "enum class": Mode,
    "range": range(3),
    "function": print,
    "lambda": lambda: None,
    "partial": functools.partial(print, 1),
    "method": WithInit().__init__,
    "module": json,
    "generator": _generator(),
    "object": object(),
    "empty object": Empty(),
    "empty class": Empty,
    "standard class": int,
    "exception": ValueError("x"),
    "callable": Model(),
    "callable class": Model,
}


@pytest.mark.parametrize("what", CONFIGS)
def test_carriers_of_settings_are_configs(what):
    """An object with settings by name is a config, and its settings can be read."""
    assert is_config(CONFIGS[what])
    assert isinstance(config_to_jsonable(CONFIGS[what]), dict)


@pytest.mark.parametrize("what", VALUES)
def test_single_values_and_tools_are_no_configs(what):
    """A value without settings is refused; the message names its type and a hint."""
    assert not is_config(VALUES[what])
    with pytest.raises(ConfigError, match="holds no settings; pass a mapping") as caught:
        config_to_jsonable(VALUES[what])
    assert caught.value.value_type


@pytest.mark.parametrize(
    "value",
    [None, Loader(), Loader, Estimator(), Estimator, Loss()],
    ids=str.split("none loader Loader estimator Estimator loss"),
)
def test_tools_with_attributes_are_settings_and_not_configs(value):
    """Loaders, estimators and callable records are arguments beside a config."""
    assert not is_config(value)


def test_what_is_handed_over_as_config_is_read():
    """A tool that is passed as the config gives its attributes."""
    assert config_to_jsonable(Loader()) == {"batch_size": 4}
    assert config_to_jsonable(Estimator()) == {"depth": 3}
    assert config_to_jsonable(Loss()) == {"weight": 0.5}


def test_no_config_is_an_empty_one():
    """None stands for an experiment without settings."""
    assert config_to_jsonable(None) == {}


def test_the_plain_form_of_each_kind():
    """The same settings give the same data, whichever kind of object holds them."""
    expected = {"lr": 1e-3, "layers": [64, 32], "mode": "fast", "data": "/data", "save_dir": "./out"}
    assert config_to_jsonable(Training()) == expected
    assert config_to_jsonable(dataclasses.asdict(Training())) == expected
    assert config_to_jsonable(argparse.Namespace(**vars(Training()))) == expected
    assert config_to_jsonable(Body) == {"lr": 1e-3, "layers": [64, 32]}
    assert config_to_jsonable(WithInit()) == {"lr": 1e-3, "layers": [64, 32], "momentum": 0.9}


def test_a_config_inside_itself_is_cut():
    """A config that refers to itself is written once."""
    config = WithInit()
    config.me = config
    assert config_to_jsonable(config)["me"] == {"__repr__": "<cycle>"}


def test_a_config_that_breaks_is_recorded_as_what_it_is():
    """A mapping that cannot be read does not stop the experiment."""

    class Broken(collections.abc.Mapping):
        def __getitem__(self, key):
            raise OSError

        def __iter__(self):
            raise OSError

        def __len__(self):
            raise OSError

        def __repr__(self):
            return "Broken()"

    assert config_to_jsonable(Broken()) == {"__repr__": "Broken()"}
    assert not is_config(Broken())


def test_a_dict_with_spoiled_items_is_read_from_below():
    """The items of a dict are the config even if a subclass breaks `items`."""

    class Spoiled(dict):
        def items(self):
            return [1, 2]

    assert config_to_jsonable(Spoiled(lr=1)) == {"lr": 1}


def test_arrays_in_a_config_are_bounded():
    """A config describes large arrays; arrays and tables are no configs themselves."""
    np = pytest.importorskip("numpy")
    pd = pytest.importorskip("pandas")
    data = config_to_jsonable({"small": np.arange(3), "large": np.zeros(101)})
    assert data == {
        "small": [0, 1, 2],
        "large": {"__array__": "numpy.ndarray", "shape": [101], "dtype": "float64"},
    }
    for value in (np.ones(3), np.float32(1), pd.DataFrame({"a": [1]}), pd.Series([1])):
        assert not is_config(value)
        with pytest.raises(ConfigError):
            config_to_jsonable(value)


def test_configs_of_libraries():
    """OmegaConf and pydantic configs are configs; a list of OmegaConf and a pydantic class are none."""
    omegaconf = pytest.importorskip("omegaconf")
    pydantic = pytest.importorskip("pydantic")

    class Settings(pydantic.BaseModel):
        lr: float = 0.1

    loaded = omegaconf.OmegaConf.create({"a": 1, "b": "${a}"})
    assert is_config(loaded)
    assert config_to_jsonable(loaded) == {"a": 1, "b": 1}
    assert is_config(Settings())
    assert config_to_jsonable(Settings()) == {"lr": 0.1}
    assert not is_config(omegaconf.OmegaConf.create([1]))
    assert not is_config(Settings)


def test_installed_tools_are_no_configs():
    """An object of a library counts only if its class is called a config."""
    sklearn = pytest.importorskip("sklearn")
    from sklearn.model_selection import KFold

    assert sklearn
    assert not is_config(KFold(3))
    assert config_to_jsonable(KFold(3))["n_splits"] == 3


def test_training_arguments_of_transformers():
    """The arguments of a Hugging Face trainer are a config, and where they write to is not part of the hash."""
    transformers = pytest.importorskip("transformers")
    first = transformers.TrainingArguments(output_dir="one", learning_rate=0.5, use_cpu=True)
    second = transformers.TrainingArguments(output_dir="two", learning_rate=0.5, use_cpu=True)
    data = config_to_jsonable(first)
    assert is_config(first)
    assert data["learning_rate"] == 0.5
    assert "__repr__" not in json.dumps(data)
    assert config_hash(data) == config_hash(config_to_jsonable(second))
    assert is_config(transformers.BertConfig())


def test_torch_tools_are_no_configs():
    """Models, optimizers, schedulers and loaders are arguments beside a config."""
    torch = pytest.importorskip("torch")
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    loader = torch.utils.data.DataLoader([1, 2])

    class Samples(torch.utils.data.Dataset):
        def __init__(self):
            self.samples = [1]

        def __getitem__(self, index):
            return self.samples[index]

    for value in (model, optimizer, scheduler, loader, Samples(), torch.ones(2), torch.nn.Linear, torch.optim.SGD):
        assert not is_config(value), value


# The hash


def test_the_hash_is_eight_hex_digits():
    """The hash is eight hex digits, because it becomes part of a folder's name."""
    digest = config_hash({"lr": 1})
    assert len(digest) == 8
    assert int(digest, 16) >= 0


def test_the_hash_is_fixed_forever():
    """The hash is part of the ids on disk: another value here is a change of format."""
    assert config_hash({}) == "44136fa3"
    assert config_hash({"lr": 0.001, "layers": [64, 32], "name": "é", "best": "NaN"}) == "c72c1933"


def test_equal_settings_have_equal_hashes():
    """Order, kind of object, tuple or list, 1 or 1.0 make no difference."""
    data = config_to_jsonable(Training())
    shuffled = list(data.items())
    random.Random(1).shuffle(shuffled)
    assert config_hash(dict(shuffled)) == config_hash(data)
    assert config_hash(config_to_jsonable(dataclasses.asdict(Training()))) == config_hash(data)
    assert config_hash({"lr": 1, "x": [0.0, 2.0]}) == config_hash({"x": [-0.0, 2], "lr": 1.0})


def test_different_settings_have_different_hashes():
    """Values, names, types and nesting count."""
    configs = [{}, {"a": 1}, {"a": 2}, {"b": 1}, {"a": True}, {"a": "1"}, {"a": None}, {"a": [1]}, {"a": {"b": 1}}]
    assert len({config_hash(config) for config in configs}) == len(configs)


@pytest.mark.parametrize("key", sorted(OUTPUT_KEYS))
def test_output_paths_do_not_count(key):
    """The same settings written to another place are the same settings, at any depth."""
    assert config_hash({"a": 1, key: "x"}) == config_hash({"a": 1})
    assert config_hash({"a": {"b": 1, key: "x"}}) == config_hash({"a": {"b": 1}})
    assert config_hash({"a": [{"b": 1, key: "x"}]}) == config_hash({"a": [{"b": 1}]})


def test_exclude_names_keys_paths_and_patterns():
    """A plain name counts anywhere, a dotted one from the top, and both take wildcards."""
    config = {"seed": 1, "optim": {"seed": 2, "lr": 0.1}, "wandb_id": "x", "log": {"a": {"b": 1}}}
    base = {"optim": {"lr": 0.1}, "log": {"a": {"b": 1}}}
    assert config_hash(config, ["seed", "wandb_*"]) == config_hash(base)
    assert config_hash(config, ["optim.seed"]) == config_hash({**config, "optim": {"lr": 0.1}})
    assert config_hash(config, ["log.*"]) == config_hash({**config, "log": {}})
    assert config_hash({"layers": [{"id": 1}, {"id": 2}]}, ["layers.*.id"]) == config_hash({"layers": [{}, {}]})
    assert config_hash(config, "seed") == config_hash(config, ["seed"])
    assert config_hash(config, ["lr.optim"]) == config_hash(config)


def test_the_hash_takes_what_an_older_tool_wrote():
    """A config read from elsewhere may hold floats that strict JSON has not."""
    assert config_hash({"a": math.nan}) == config_hash({"a": "NaN"})


SCRIPT = """
import dataclasses, json, random, sys, threading
from runbook.config.settings import config_hash, config_to_jsonable

class Head:
    bias = True
    def __init__(self):
        self.size = 3

@dataclasses.dataclass
class Config:
    lr: float = 0.1
    tags: frozenset = frozenset({"a", "b", "c", "d", "e"})
    mixed: frozenset = frozenset({"a", 1, None, (1, "b")})
    head: Head = dataclasses.field(default_factory=Head)
    lock: object = dataclasses.field(default_factory=threading.Lock)
    hook: object = print

settings = [(f.name, getattr(Config(), f.name)) for f in dataclasses.fields(Config)]
random.Random(int(sys.argv[1])).shuffle(settings)
print(config_hash(config_to_jsonable(Config())), config_hash(config_to_jsonable(dict(settings))))
"""


def test_the_hash_is_the_same_in_every_process():
    """The hash is the same in every process, with any hash seed and order of keys."""
    hashes = set()
    for seed in ("0", "1", "12345"):
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, seed],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
            capture_output=True,
            text=True,
            check=True,
        )
        hashes.update(done.stdout.split())
    assert len(hashes) == 1


def test_plain_configs_stay_as_they_are():
    """Reading a written config again changes neither it nor its hash."""
    data = config_to_jsonable(Training())
    again = json.loads(json.dumps(data))
    assert config_to_jsonable(again) == data == to_jsonable(data)
    assert config_hash(again) == config_hash(data)
