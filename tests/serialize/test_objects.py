"""The fields that are read of an object."""

from __future__ import annotations

import argparse
import dataclasses
import enum
import sys
import types
from typing import Any, ClassVar, NamedTuple

import attrs
import pytest

from runbook.serialize.jsonable import to_jsonable
from runbook.serialize.objects import class_fields, fields_of


@dataclasses.dataclass
class Optim:
    lr: float = 0.1
    betas: tuple[float, float] = (0.9, 0.99)
    kind: ClassVar[str] = "not a field"
    _cache: dict = dataclasses.field(default_factory=dict, init=False)
    extra: Any = None


class Choice(enum.Enum):
    A = "a"


def test_dataclasses_give_their_fields():
    """Fields count, class variables and private state do not."""
    assert to_jsonable(Optim()) == {"lr": 0.1, "betas": [0.9, 0.99], "extra": None}


def test_a_dataclass_is_never_copied():
    """A field that cannot be copied is read all the same: fields are not deep-copied."""

    class Once:
        value = 1

        def __deepcopy__(self, memo):
            raise RuntimeError

    assert to_jsonable(Optim(extra=Once())) == {"lr": 0.1, "betas": [0.9, 0.99], "extra": {"value": 1}}


def test_a_field_without_a_value_is_left_out():
    """A field that was never set is not there."""

    @dataclasses.dataclass
    class Late:
        a: int = 1
        b: int = dataclasses.field(init=False)

    assert to_jsonable(Late()) == {"a": 1}


def test_a_property_that_raises_is_named():
    """One unreadable field leaves the others readable."""

    @dataclasses.dataclass
    class Broken:
        a: int = 1
        b: int = 2

        def __getattribute__(self, name):
            if name == "b":
                raise OSError
            return object.__getattribute__(self, name)

    assert to_jsonable(Broken()) == {"a": 1, "b": {"__repr__": "<unreadable: OSError>"}}


def test_recursive_dataclasses_end():
    """A record that holds itself is cut at the cycle."""
    node = Optim()
    node.extra = [node]
    assert to_jsonable(node)["extra"] == [{"__repr__": "<cycle>"}]


def test_attrs_classes_give_their_fields():
    """Both kinds of attrs classes are read, with or without slots."""

    @attrs.frozen
    class Frozen:
        a: int = 1
        _b: int = 2

    @attrs.define(slots=False)
    class Open:
        a: Frozen = attrs.field(factory=Frozen)

    assert to_jsonable(Open()) == {"a": {"a": 1, "_b": 2}}


def test_namespaces_give_all_their_attributes():
    """The namespace of a command-line parser is recorded whole."""
    args = argparse.Namespace(lr=0.1, nested=types.SimpleNamespace(a=1))
    assert to_jsonable(args) == {"lr": 0.1, "nested": {"a": 1}}


def test_plain_objects_give_class_attributes_and_their_own():
    """A config class has the fields of its body and of its constructor."""

    class Base:
        lr = 0.1
        name = "base"
        loss = property(lambda _: 1)

        def method(self):
            return None

    class Config(Base):
        name = "derived"
        _private = 1

        def __init__(self):
            self.momentum = 0.9
            self.lr = 0.5
            self.activation = print
            self._own = 2

    expected = {"lr": 0.5, "name": "derived", "momentum": 0.9, "activation": "builtins.print"}
    assert to_jsonable(Config()) == expected
    assert list(to_jsonable(Config())) == list(expected)


def test_slots_are_attributes():
    """Attributes in `__dict__` and in slots are read alike."""

    class Base:
        __slots__ = "a"  # noqa: PLC0205 - Python takes it

    class Config(Base):
        __slots__ = ("_c", "b", "unset")

        def __init__(self):
            self.a, self.b, self._c = 1, 2, 3

    assert to_jsonable(Config()) == {"a": 1, "b": 2}


def test_a_method_in_the_place_of_a_field_hides_it():
    """A field that a subclass replaces by a method or property is left out."""

    class Base:
        lr = 0.1
        momentum = 0.9

    class Config(Base):
        @property
        def lr(self):
            return 1

    assert to_jsonable(Config()) == {"momentum": 0.9}


def test_classes_inside_a_config_class_are_its_sections():
    """An inner class is a section or only a definition of a type; any other class is a value."""

    class Config:
        seed = 1
        optimizer = Optim

        class model:
            layers = 2

            class head:
                bias = True

        class Mode(enum.Enum):
            A = 1

        class Empty:
            pass

    expected = {
        "seed": 1,
        "optimizer": f"{__name__}.Optim",
        "model": {"layers": 2, "head": {"bias": True}},
    }
    assert to_jsonable(dict(class_fields(Config))) == expected
    assert to_jsonable(Config()) == expected


def test_objects_that_hold_data_are_not_opened():
    """A data loader in a config is named, not read."""

    class Loader:
        def __init__(self):
            self.batch_size = 4

        def __iter__(self):
            raise AssertionError

        def __len__(self):
            raise AssertionError

    assert fields_of(Loader()) is None
    assert "Loader" in to_jsonable(Loader())["__repr__"]


def test_callables_and_standard_objects_are_not_opened():
    """A model, an exception of the user's and the objects of Python have no fields."""

    class Model:
        def __init__(self):
            self.weights = [1]

        def __call__(self):
            return None

    class Failure(Exception):
        code = 1

    assert [fields_of(value) for value in (Model(), Failure(), object(), sys.stdout, print)] == [None] * 5


def test_mapping_like_objects_are_mappings():
    """`keys` and item access are enough."""

    class Bag:
        def keys(self):
            return ["a", "b"]

        def __getitem__(self, key):
            return {"a": 1, "b": [2]}[key]

    assert to_jsonable(Bag()) == {"a": 1, "b": [2]}


def test_indexing_for_convenience_hides_nothing():
    """A config whose attributes can also be reached as items is still an object with attributes."""

    class Config:
        def __init__(self):
            self.lr = 0.1
            self.items_of = {"a": 1}

        def __getitem__(self, name):
            return getattr(self, name)

    assert to_jsonable({"nested": Config()}) == {"nested": {"lr": 0.1, "items_of": {"a": 1}}}


def test_named_tuples_and_structs():
    """Tuples with field names and msgspec-like structs are records."""

    class Pair(NamedTuple):
        a: int
        b: int

    class Struct:
        __struct_fields__ = ("x", "y")

        def __init__(self):
            self.x, self.y = 1, Choice.A

    assert to_jsonable([Pair(1, 2), Struct()]) == [{"a": 1, "b": 2}, {"x": 1, "y": "a"}]


def test_pydantic_models():
    """Fields and extras count; secrets stay masked; a model made without validation is read too."""
    pydantic = pytest.importorskip("pydantic")

    class Model(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(extra="allow")
        lr: float = 0.1
        key: pydantic.SecretStr = pydantic.SecretStr("hidden")
        site: pydantic.AnyUrl = pydantic.AnyUrl("https://example.org/")

        @pydantic.computed_field
        @property
        def double(self) -> float:
            raise RuntimeError

    converted = to_jsonable(Model(note="x"))
    assert converted == {"lr": 0.1, "key": "**********", "site": "https://example.org/", "note": "x"}

    class Late(pydantic.BaseModel):
        a: int
        b: int

    assert to_jsonable(Late.model_construct(a=1)) == {"a": 1}


def test_pydantic_models_of_version_1():
    """The models of the older version are read as well."""
    pydantic = pytest.importorskip("pydantic.v1", exc_type=Exception)

    class Model(pydantic.BaseModel):
        lr: float = 0.1
        key: pydantic.SecretStr = pydantic.SecretStr("hidden")

        class Config:
            extra = "allow"

    assert to_jsonable(Model(note="x")) == {"lr": 0.1, "key": "**********", "note": "x"}


def test_omegaconf_is_resolved_where_that_works():
    """Interpolations are resolved one by one; what fails stays as it was written."""
    omegaconf = pytest.importorskip("omegaconf")
    config = omegaconf.OmegaConf.create(
        {
            "root": "/data",
            "train": "${root}/train",
            "missing": "???",
            "broken": "${nowhere}",
            "circle": "${circle}",
            "section": {"lr": "${..lr}", "bad": "${oc.env:SURELY_NOT_SET_ANYWHERE}"},
            "lr": 0.1,
            "items": [1, "${root}", "???"],
            "none": None,
        }
    )
    assert to_jsonable(config) == {
        "root": "/data",
        "train": "/data/train",
        "missing": "???",
        "broken": "${nowhere}",
        "circle": "${circle}",
        "section": {"lr": 0.1, "bad": "${oc.env:SURELY_NOT_SET_ANYWHERE}"},
        "lr": 0.1,
        "items": [1, "/data", "???"],
        "none": None,
    }


def test_omegaconf_containers_without_content():
    """A container may itself be None, missing, or point at another."""
    omegaconf = pytest.importorskip("omegaconf")
    values = [
        omegaconf.DictConfig(None),
        omegaconf.DictConfig("???"),
        omegaconf.ListConfig(None),
        omegaconf.OmegaConf.structured(Optim),
    ]
    converted = to_jsonable(values)
    assert converted[:3] == [None, "???", None]
    assert converted[3]["lr"] == 0.1
    pointing = omegaconf.OmegaConf.create({"a": {"b": 1}, "c": "${a}", "d": {"up": "${d}"}})
    assert to_jsonable(pointing) == {"a": {"b": 1}, "c": {"b": 1}, "d": {"up": "${d}"}}


def test_estimators_give_their_parameters():
    """An estimator in a config shows how it was set up, ensembles and pipelines too."""
    pytest.importorskip("sklearn")
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    converted = to_jsonable({"model": LogisticRegression(C=0.5)})
    assert converted == {"model": to_jsonable(LogisticRegression(C=0.5).get_params())}
    assert to_jsonable(RandomForestClassifier(n_estimators=7))["n_estimators"] == 7
    steps = to_jsonable(make_pipeline(LogisticRegression(C=2)))["steps"]
    assert steps[0][0] == "logisticregression"
    assert steps[0][1]["C"] == 2


def test_msgspec_structs():
    """Real structs are read like the others."""
    msgspec = pytest.importorskip("msgspec")
    struct = msgspec.defstruct("Struct", [("a", int, 1)], frozen=True)
    assert to_jsonable(struct()) == {"a": 1}


def test_ml_collections():
    """Config dicts are mapping-like without being mappings."""
    ml_collections = pytest.importorskip("ml_collections")
    config = ml_collections.ConfigDict({"lr": 0.1, "model": {"layers": 2}})
    assert to_jsonable(config) == {"lr": 0.1, "model": {"layers": 2}}
    assert to_jsonable(ml_collections.FrozenConfigDict(config)) == {"lr": 0.1, "model": {"layers": 2}}
