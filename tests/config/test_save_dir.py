"""Pointing the `save_dir` of a config at the experiment."""

from __future__ import annotations

import argparse
import collections
import copy
import dataclasses
import types
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import attrs
import pytest

from runbook import messages
from runbook.config.settings import config_to_jsonable, point_save_dir

HERE = Path("experiments") / "one" / "checkpoints"


class Point(NamedTuple):
    lr: float
    save_dir: str


@dataclasses.dataclass
class Open:
    lr: float = 0.1
    save_dir: str | None = "./out"


@dataclasses.dataclass(slots=True)
class Slotted:
    save_dir: Path = Path("out")


@dataclasses.dataclass(frozen=True)
class Frozen:
    lr: float = 0.1
    save_dir: str = "./out"


@dataclasses.dataclass(frozen=True, slots=True)
class FrozenSlotted:
    lr: float = 0.1
    save_dir: Path = Path("out")


@attrs.define
class Attrs:
    lr: float = 0.1
    save_dir: str = "./out"


@attrs.frozen
class FrozenAttrs:
    lr: float = 0.1
    save_dir: str = "./out"


@attrs.frozen(slots=False, cache_hash=True)
class HashedAttrs:
    lr: float = 0.1
    save_dir: str = "./out"


@attrs.define
class FrozenField:
    save_dir: str = attrs.field(default="./out", on_setattr=attrs.setters.frozen)


class Body:
    lr = 0.1
    save_dir = "./out"


class Own:
    def __init__(self):
        self.save_dir = "./out"


class Slots:
    __slots__ = ("save_dir",)

    def __init__(self):
        self.save_dir = "./out"


class Property:
    def __init__(self):
        self._where = "./out"

    @property
    def save_dir(self):
        return self._where

    @save_dir.setter
    def save_dir(self, where):
        self._where = where


class Locked:
    """A config that is frozen by a `__setattr__` of its own."""

    def __init__(self):
        self.__dict__.update(lr=0.1, save_dir="./out")

    def __setattr__(self, name, value):
        raise RuntimeError("locked")

    def __eq__(self, other):
        return vars(self) == vars(other)

    __hash__ = None


class FrozenDict(collections.UserDict):
    """A mapping that cannot be changed."""

    def __init__(self, data):
        self.data = dict(data)

    def __setitem__(self, key, value):
        raise TypeError


class Freezable(dict):
    """A config that is frozen as in yacs: its items could still be written."""

    def is_frozen(self):
        return True


CHANGEABLE = {
    "dict": lambda: {"lr": 0.1, "save_dir": "./out"},
    "ordered dict": lambda: collections.OrderedDict(save_dir="./out"),
    "user dict": lambda: collections.UserDict(save_dir="./out"),
    "chain map": lambda: collections.ChainMap({}, {"save_dir": "./out"}),
    "dataclass": Open,
    "attrs": Attrs,
    "namespace": lambda: argparse.Namespace(save_dir="./out"),
    "simple namespace": lambda: types.SimpleNamespace(save_dir=None),
    "own attribute": Own,
    "class attribute": Body,
    "slot": Slots,
    "property": Property,
}

FROZEN = {
    "dataclass": Frozen,
    "dataclass with slots": FrozenSlotted,
    "attrs": FrozenAttrs,
    "attrs with cached hash": HashedAttrs,
    "attrs field": FrozenField,
    "named tuple": lambda: Point(0.1, "./out"),
    "mapping proxy": lambda: types.MappingProxyType({"lr": 0.1, "save_dir": "./out"}),
    "mapping": lambda: FrozenDict({"lr": 0.1, "save_dir": "./out"}),
    "frozen by a method": lambda: Freezable(lr=0.1, save_dir="./out"),
    "frozen by hand": Locked,
}


def save_dir_of(config):
    """The `save_dir` of a config of any kind."""
    return config["save_dir"] if hasattr(config, "keys") else config.save_dir


@pytest.fixture(autouse=True)
def _no_warnings_yet(monkeypatch):
    monkeypatch.setattr(messages, "_logged", set())


@pytest.mark.parametrize("what", CHANGEABLE)
def test_configs_are_changed_in_place(what, caplog):
    """A config that can be changed is changed in place."""
    config = CHANGEABLE[what]()
    assert point_save_dir(config, HERE) is config
    assert save_dir_of(config) == str(HERE)
    assert not caplog.records


@pytest.mark.parametrize("what", FROZEN)
def test_frozen_configs_give_a_changed_copy(what, caplog):
    """A frozen config gives a copy with the new `save_dir`; the original stays as it was."""
    config, untouched = FROZEN[what](), FROZEN[what]()
    changed = point_save_dir(config, HERE)
    assert changed is not config
    assert type(changed) is type(config)
    assert config == untouched
    assert changed != config
    expected = config_to_jsonable(config) | {"save_dir": str(HERE)}
    assert config_to_jsonable(changed) == expected
    assert list(config_to_jsonable(changed)) == list(expected)
    assert not caplog.records


def test_a_changed_copy_equals_one_made_by_hand():
    """Comparison and hash of the copy use its new value."""
    assert point_save_dir(Frozen(), HERE) == dataclasses.replace(Frozen(), save_dir=str(HERE))
    assert point_save_dir(FrozenAttrs(), HERE) == attrs.evolve(FrozenAttrs(), save_dir=str(HERE))
    hashed = HashedAttrs()
    hash(hashed)
    assert hash(point_save_dir(hashed, HERE)) == hash(HashedAttrs(save_dir=str(HERE)))


def test_paths_stay_paths_and_all_else_becomes_text():
    """The new value is a path object where the old one was, else a string."""
    config = point_save_dir({"save_dir": Path("out")}, HERE)
    assert config["save_dir"] == HERE
    assert isinstance(config["save_dir"], Path)
    assert isinstance(point_save_dir(Slotted(), HERE).save_dir, Path)
    assert isinstance(point_save_dir({"save_dir": PurePosixPath("out")}, HERE)["save_dir"], Path)
    assert point_save_dir({"save_dir": None}, HERE) == {"save_dir": str(HERE)}


def test_a_class_used_as_config_is_changed_itself():
    """A class used as a config gets the directory; the classes it inherits from do not."""

    class Base:
        save_dir = "./out"

    class Config(Base):
        lr = 0.1

    assert point_save_dir(Config, HERE) is Config
    assert Config.save_dir == str(HERE)
    assert Base.save_dir == "./out"


def test_an_instance_never_changes_its_class():
    """An instance gets the directory itself; its class and other instances keep theirs."""

    class Config:
        save_dir = Path("out")

    config = point_save_dir(Config(), HERE)
    assert config.save_dir == HERE
    assert Config.save_dir == Path("out")


@pytest.mark.parametrize(
    "config",
    [
        None,
        {},
        {"nested": {"save_dir": "x"}},
        collections.defaultdict(dict),
        Point,
        argparse.Namespace(lr=1),
        types.MappingProxyType({}),
        [1],
        1,
    ],
    ids=repr,
)
def test_nothing_is_added(config):
    """A config without a `save_dir` of its own stays as it is."""
    before = copy.copy(config) if not isinstance(config, types.MappingProxyType) else config
    assert point_save_dir(config, HERE) is config
    assert config == before


def test_a_method_of_that_name_is_no_setting():
    """A config may compute its directory; there is nothing to set then."""

    class Config:
        lr = 0.1

        def save_dir(self):
            return "x"

    config = Config()
    assert point_save_dir(config, HERE).save_dir() == "x"


def test_validators_are_not_in_the_way():
    """The directory is set even if a validator of the config refuses it."""

    def refuse(_, __, value):
        if value != "./out":
            raise ValueError

    @attrs.define
    class Config:
        save_dir: str = attrs.field(default="./out", validator=refuse)

    config = Config()
    assert point_save_dir(config, HERE) is config
    assert config.save_dir == str(HERE)


def test_hooks_do_not_alter_the_directory():
    """The directory is set as it is even if a converter of the config changes values."""

    @attrs.define
    class Config:
        save_dir: str = attrs.field(default="./out", converter=lambda where: f"{where}/today")

    assert point_save_dir(Config(), HERE).save_dir == str(HERE)


def test_what_cannot_be_set_is_said_once(caplog):
    """A config that cannot be changed stays as it is, and one warning is logged."""

    class Config:
        lr = 0.1

        @property
        def save_dir(self):
            return "fixed"

        def __init__(self, **_):
            pass

    config = Config()
    assert point_save_dir(config, HERE) is config
    assert point_save_dir(config, HERE) is config
    (record,) = caplog.records
    assert "could not set save_dir" in record.getMessage()
    assert str(HERE) in record.getMessage()


def test_hostile_configs_come_back_unchanged():
    """A config that raises does not stop the experiment."""

    class Hostile:
        save_dir = "x"

        def _broken(self, *_):
            raise OSError

        __getattribute__ = __setattr__ = __copy__ = __reduce_ex__ = __eq__ = _broken
        __hash__ = None

    class HostileDict(dict):
        def keys(self):
            raise OSError

    for config in (Hostile(), HostileDict(save_dir="x")):
        assert point_save_dir(config, HERE) is config


def test_pydantic_models_are_set_without_validation():
    """Neither validators nor `validate_assignment` run, and frozen models give a copy."""
    pydantic = pytest.importorskip("pydantic")
    runs = []

    class Checked(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(validate_assignment=True)
        lr: float = 0.1
        save_dir: pydantic.DirectoryPath | str = "./out"

        @pydantic.model_validator(mode="after")
        def check(self):
            runs.append(self.save_dir)
            return self

    class FrozenModel(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(frozen=True)
        save_dir: Path = Path("out")

    class FrozenField(pydantic.BaseModel):
        save_dir: str = pydantic.Field("./out", frozen=True)

    class Extra(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(extra="allow")

    config = Checked()
    runs.clear()
    assert point_save_dir(config, HERE) is config
    assert config.save_dir == str(HERE)
    assert config.model_dump(exclude_unset=True) == {"save_dir": str(HERE)}
    assert runs == []

    frozen = FrozenModel()
    assert point_save_dir(frozen, HERE) == FrozenModel(save_dir=HERE)
    assert frozen == FrozenModel()
    assert point_save_dir(FrozenField(), HERE) == FrozenField(save_dir=str(HERE))

    extra = Extra(save_dir="./out")
    assert point_save_dir(extra, HERE) is extra
    assert extra == Extra(save_dir=str(HERE))
    assert point_save_dir(Extra(), HERE) == Extra()


def test_pydantic_models_of_version_1():
    """The older models are set and copied in the same way."""
    pydantic = pytest.importorskip("pydantic.v1", exc_type=Exception)

    class Model(pydantic.BaseModel):
        save_dir: pydantic.DirectoryPath = Path()

        class Config:
            validate_assignment = True

    class FrozenModel(pydantic.BaseModel):
        save_dir: str = "./out"

        class Config:
            frozen = True

    config = Model()
    assert point_save_dir(config, HERE) is config
    assert config.save_dir == HERE
    frozen = FrozenModel()
    assert point_save_dir(frozen, HERE) == FrozenModel(save_dir=str(HERE))
    assert frozen == FrozenModel()


def test_pydantic_dataclasses():
    """A dataclass with pydantic's checks is a dataclass."""
    pydantic = pytest.importorskip("pydantic")

    @pydantic.dataclasses.dataclass(config={"validate_assignment": True})
    class Config:
        save_dir: pydantic.DirectoryPath = Path()

    config = Config()
    assert point_save_dir(config, HERE) is config
    assert config.save_dir == HERE


def test_omegaconf():
    """Struct mode and interpolations are no obstacle; a read-only config gives a copy."""
    omegaconf = pytest.importorskip("omegaconf")
    make = omegaconf.OmegaConf.create
    for config in (
        make({"save_dir": "./out"}),
        make({"save_dir": "???"}),
        make({"root": "x", "save_dir": "${root}/out"}),
        make({"save_dir": "${nowhere}"}),
        make({"save_dir": None}),
        make({"save_dir": "./out"}, flags={"struct": True}),
    ):
        assert point_save_dir(config, HERE) is config
        assert config.save_dir == str(HERE)

    empty = make({"lr": 1}, flags={"struct": True})
    assert point_save_dir(empty, HERE) is empty
    assert empty == {"lr": 1}

    frozen = make({"lr": 1, "save_dir": "./out"}, flags={"readonly": True})
    changed = point_save_dir(frozen, HERE)
    assert frozen == {"lr": 1, "save_dir": "./out"}
    assert changed == {"lr": 1, "save_dir": str(HERE)}
    assert omegaconf.OmegaConf.is_readonly(changed)

    typed = omegaconf.OmegaConf.structured(Slotted)
    assert point_save_dir(typed, HERE).save_dir == HERE


def test_msgspec_structs():
    """Structs are set in place, frozen ones are made anew."""
    msgspec = pytest.importorskip("msgspec")
    fields = [("lr", float, 0.1), ("save_dir", str, "./out")]
    struct = msgspec.defstruct("Struct", fields)()
    frozen = msgspec.defstruct("FrozenStruct", fields, frozen=True)()
    assert point_save_dir(struct, HERE) is struct
    assert struct.save_dir == str(HERE)
    changed = point_save_dir(frozen, HERE)
    assert (changed.lr, changed.save_dir, frozen.save_dir) == (0.1, str(HERE), "./out")


def test_ml_collections():
    """Locked config dicts take a value for an existing key, frozen ones give a copy."""
    ml_collections = pytest.importorskip("ml_collections")
    config = ml_collections.ConfigDict({"save_dir": "./out", "model": {"layers": 2}}).lock()
    assert point_save_dir(config, HERE) is config
    assert config.save_dir == str(HERE)
    frozen = ml_collections.FrozenConfigDict({"save_dir": "./out", "model": {"layers": 2}})
    changed = point_save_dir(frozen, HERE)
    assert (changed.save_dir, changed.model.layers, frozen.save_dir) == (str(HERE), 2, "./out")
    assert isinstance(changed, ml_collections.FrozenConfigDict)


def test_training_arguments_of_transformers():
    """A subclass with a `save_dir` is set in place; without one nothing is added."""
    transformers = pytest.importorskip("transformers")

    @dataclasses.dataclass
    class Arguments(transformers.TrainingArguments):
        save_dir: str = "./out"

    arguments = transformers.TrainingArguments(output_dir="x", use_cpu=True)
    assert point_save_dir(arguments, HERE) is arguments
    assert not hasattr(arguments, "save_dir")
    own = Arguments(output_dir="x", use_cpu=True)
    assert point_save_dir(own, HERE).save_dir == str(HERE)
