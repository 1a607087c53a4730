"""The fields of an object by name: the items of a mapping, declared fields or public attributes.

Fields are read one by one with `getattr`, never through `dataclasses.asdict` or `model_dump`: those copy or
validate the values, and one that cannot be copied would make all the others unreadable.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import ItemsView, Iterable, KeysView, Mapping, ValuesView
from types import SimpleNamespace
from typing import Any, Final, TypeAlias

from runbook.serialize.arrays import defines
from runbook.serialize.scalars import package_name, type_name

Pairs: TypeAlias = list[tuple[object, object]]
"""Names and values in the order in which they were found; names need be neither strings nor unique."""

_MISSING: Final = object()


def fields_of(value: Any) -> Pairs | None:
    """The fields of a mapping, a record, a namespace or an object of a class that the user wrote.

    Returns:
        Names and values, possibly none at all; None for values without fields, such as numbers, sequences,
        callables, data loaders and the objects of the standard library.
    """
    cls = type(value)
    if issubclass(cls, Mapping):
        return _mapping_pairs(value, cls)
    if (declared := declared_fields(value)) is not None:
        return declared
    if is_mapping_like(cls):
        return [(key, value[key]) for key in value.keys()]  # noqa: SIM118 - it need not be iterable
    if carries_attributes(cls) and not holds_data(cls):
        return public_attributes(value) or None
    return None


def declared_fields(value: Any) -> Pairs | None:
    """The fields of an object whose class declares them, or which is a namespace; None for all others.

    Left out are private fields that are no arguments of the constructor.
    """
    cls = type(value)
    if issubclass(cls, SimpleNamespace) or _has_base(cls, "argparse.Namespace"):
        return list(vars(value).items())
    names = _field_names(value, cls)
    if names is None:
        return None
    pairs = ((name, read(value, name)) for name in names)
    return [(name, item) for name, item in pairs if item is not _MISSING]


def public_attributes(value: Any) -> Pairs:
    """The public attributes of an object: those of its class first, then its own."""
    found = dict(class_fields(type(value)))
    try:
        own = object.__getattribute__(value, "__dict__")
    except Exception:  # no `__dict__`, or a property in its place that raises
        own = {}
    found.update((name, item) for name, item in own.items() if _is_public(name))
    for base in type(value).__mro__:
        slots = vars(base).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if _is_public(name) and (item := read(value, name)) is not _MISSING:
                found[name] = item
    return list(found.items())


def class_fields(cls: type) -> Pairs:
    """The public attributes of a class that hold values, base classes first.

    Methods, properties and other descriptors are left out. A class defined inside the class is a section: its
    own attributes are its value. Any other class is a value itself, as in `optimizer = Adam`.
    """
    found: dict[str, object] = {}
    for base in reversed(cls.__mro__):
        if is_standard(base):
            continue
        for name, item in vars(base).items():
            if isinstance(item, type):
                item = _inner_fields(item, base)  # noqa: PLW2901
            if not _is_public(name):
                continue
            # A subclass may put a method or a property in the place of a value.
            found.pop(name, None)
            if item is not _MISSING and not is_behaviour(item):
                found[name] = item
    return list(found.items())


def is_config_class(cls: type) -> bool:
    """Whether a class itself may serve as a config, by the attributes in its body."""
    return (
        carries_attributes(cls)
        and not holds_data(cls)
        and not holds_data(type(cls))  # an enum, whose class is a collection of its members
        and pydantic_version(cls) is None
        and bool(class_fields(cls))
    )


def carries_attributes(cls: type) -> bool:
    """Whether the attributes of an object are its fields: not for classes of Python, callables and exceptions."""
    return not (is_standard(cls) or defines(cls, "__call__") or issubclass(cls, BaseException))


def holds_data(cls: type) -> bool:
    """Whether a class is made to be iterated over, such as a data loader, and not to be read by name.

    Item access alone is not enough: many configs offer it for convenience. A torch dataset may have no more
    than that, and is recognised by its base class.
    """
    if is_estimator(cls):
        return False
    return any(defines(cls, name) for name in ("__iter__", "__len__", "__next__")) or _has_base(cls, "torch.Dataset")


def is_estimator(cls: type) -> bool:
    """Whether a class is an estimator in the manner of scikit-learn; ensembles of them have a length too."""
    return defines(cls, "fit", "get_params")


def is_standard(cls: type) -> bool:
    """Whether a class comes with Python."""
    return str(cls.__module__).partition(".")[0] in sys.stdlib_module_names


def is_named_tuple(cls: type) -> bool:
    """Whether a class is a tuple whose elements have names."""
    return issubclass(cls, tuple) and isinstance(getattr(cls, "_fields", None), tuple)


def is_mapping_like(cls: type) -> bool:
    """Whether a class is a mapping, or has the methods of one."""
    return issubclass(cls, Mapping) or (defines(cls, "keys", "__getitem__") and not defines(cls, "__call__"))


def is_sequence(cls: type) -> bool:
    """Whether a class is a sequence that can be read again and again, unlike an iterator."""
    return (
        issubclass(cls, (list, tuple, deque, KeysView, ValuesView, ItemsView))
        or _has_base(cls, "array.array")
        or _has_base(cls, "collections.UserList")
    ) and not is_named_tuple(cls)


def is_omegaconf(cls: type) -> bool:
    """Whether a class is one of OmegaConf's containers."""
    return _has_base(cls, "omegaconf.BaseContainer")


def omegaconf_content(value: Any) -> object:
    """What an OmegaConf container holds, one level deep, with interpolations resolved where that works.

    What cannot be resolved stays as it was written, as `${…}`, and a missing value stays `???`.
    """
    convert = sys.modules["omegaconf"].OmegaConf.to_container
    is_dict = defines(type(value), "keys")
    try:
        keys: Any = list(value.keys()) if is_dict else range(len(value))
    except Exception:  # an interpolation that leads nowhere
        keys = ()
    if not keys:
        # It is empty, or None, missing or an interpolation as a whole.
        return convert(value, resolve=False)
    found: dict[object, object] = {}
    for key in keys:
        try:
            found[key] = value[key]
        except Exception:  # one error for each way in which an interpolation fails
            found[key] = convert(value, resolve=False)[key]
    return found if is_dict else list(found.values())


def pydantic_version(cls: type) -> int | None:
    """1 or 2 for a class of pydantic models, None for all others, pydantic's dataclasses among them."""
    if defines(cls, "__pydantic_validator__") and not defines(cls, "__dataclass_fields__"):
        return 2
    return 1 if defines(cls, "__fields__", "__validators__") else None


def pydantic_fields(cls: Any) -> Mapping[str, object]:
    """The declared fields of a model of version 2, by name."""
    fields: Mapping[str, object] = getattr(cls, "__pydantic_fields__", None) or cls.model_fields
    return fields


def is_behaviour(item: object) -> bool:
    """Whether an attribute of a class is a method or another descriptor, and not a value."""
    return hasattr(type(item), "__get__") or (callable(item) and not isinstance(item, type))


def read(value: Any, name: str) -> object:
    """One attribute; a note with the type of the error where reading it raises; `_MISSING` where there is none."""
    try:
        return getattr(value, name)
    except AttributeError:
        return _MISSING
    except Exception as error:  # a property of the user's object
        return {"__repr__": f"<unreadable: {type_name(type(error))}>"}


def _mapping_pairs(value: Any, cls: type) -> Pairs | None:
    if is_omegaconf(cls):
        content = omegaconf_content(value)
        return list(content.items()) if isinstance(content, dict) else None
    try:
        return [(name, item) for name, item in value.items()]
    except Exception:
        if issubclass(cls, dict):
            # A subclass can break `items`, but not that of the dict it inherits from.
            return list(dict.items(value))
        raise


def _field_names(value: Any, cls: type) -> Iterable[str] | None:
    if isinstance(getattr(cls, "__dataclass_fields__", None), dict):
        import dataclasses

        return [field.name for field in dataclasses.fields(cls) if field.init or _is_public(field.name)]
    if isinstance(declared := getattr(cls, "__attrs_attrs__", None), tuple):
        return [field.name for field in declared if field.init or _is_public(field.name)]
    if is_named_tuple(cls):
        return tuple(cls._fields)  # type: ignore[attr-defined]
    if isinstance(declared := getattr(cls, "__struct_fields__", None), tuple):
        return declared
    return _pydantic_names(value, cls)


def _pydantic_names(value: Any, cls: type) -> Iterable[str] | None:
    version = pydantic_version(cls)
    if version == 1:
        # In version 1 the `__dict__` holds fields and extras and nothing else.
        return list(vars(value))
    if version is None:
        return None
    return [*pydantic_fields(cls), *(getattr(value, "__pydantic_extra__", None) or ())]


def _inner_fields(inner: type, owner: type) -> object:
    if not inner.__qualname__.startswith(f"{owner.__qualname__}."):
        return inner
    return dict(class_fields(inner)) if is_config_class(inner) else _MISSING


def _is_public(name: object) -> bool:
    return isinstance(name, str) and not name.startswith("_")


def _has_base(cls: type, name: str) -> bool:
    return any(package_name(base) == name for base in cls.__mro__)
