"""Pointing the `save_dir` of a config at the experiment: the one thing that is ever set in a config.

Each kind of object has its own way to be changed and its own way to say that it must not be. One that must
not gives a changed copy, and the original stays as it was.
"""

from __future__ import annotations

import copy
import sys
from contextlib import suppress
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeVar

from runbook.messages import warn_once
from runbook.serialize.arrays import defines
from runbook.serialize.objects import (
    class_settings,
    declared_settings,
    is_behaviour,
    is_mapping_like,
    is_named_tuple,
    is_omegaconf,
    omegaconf_content,
    pydantic_fields,
    pydantic_version,
    read,
)
from runbook.serialize.scalars import type_name

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_KEY: Final = "save_dir"


def point_save_dir(config: T, directory: Path) -> T:
    """The config with its top-level `save_dir` set to the directory.

    It is the same object, changed in place, or a changed copy of an object that is frozen. A config without
    `save_dir` comes back as it is. Never raises: if there is no way to set it, that is said once.

    Args:
        config: any config.
        directory: set as a `Path` where `save_dir` was a path object, else as a string.
    """
    try:
        return _pointed(config, directory)  # type: ignore[no-any-return]
    except Exception as error:  # anything that the host's object raises; its training goes on
        name = type_name(type(config))
        with suppress(Exception):
            warn_once(
                f"save_dir:{name}",
                f"could not set save_dir of a config of type {name} ({type(error).__name__}: {error}); "
                f"set it to the experiment's directory yourself: {directory}",
            )
        return config


def _pointed(config: Any, directory: Path) -> Any:
    cls = type(config)
    if issubclass(cls, type):
        names = dict(class_settings(config))
        if _KEY in names:
            setattr(config, _KEY, _like(names[_KEY], directory))
        return config
    if is_omegaconf(cls):
        return _pointed_omegaconf(config, directory)
    if is_mapping_like(cls):
        return _pointed_mapping(config, directory)
    if not _has_save_dir(config, cls):
        return config
    target = _like(read(config, _KEY), directory)
    version = pydantic_version(cls)
    return _pointed_object(config, target) if version is None else _pointed_pydantic(config, target, version)


def _like(current: object, directory: Path) -> Path | str:
    return Path(directory) if issubclass(type(current), PurePath) else str(directory)


def _has_save_dir(config: Any, cls: type) -> bool:
    with suppress(Exception):  # no `__dict__`, or one that raises
        if _KEY in object.__getattribute__(config, "__dict__"):
            return True
    if _KEY in (getattr(config, "__pydantic_extra__", None) or ()):
        return True
    for base in cls.__mro__:
        if _KEY in vars(base):
            item = vars(base)[_KEY]
            # A slot and a property are descriptors that can be set; a method is one that cannot.
            return hasattr(type(item), "__set__") or not is_behaviour(item)
    return any(name == _KEY for name, _ in declared_settings(config) or ())


def _pointed_mapping(config: Any, directory: Path) -> Any:
    if _KEY not in list(config.keys()):
        return config
    target = _like(config[_KEY], directory)
    # yacs keeps its freeze for attributes only, and would let us write the item.
    is_frozen = defines(type(config), "is_frozen") and config.is_frozen()
    if defines(type(config), "__setitem__") and not is_frozen:
        with suppress(Exception):  # a mapping of the host's that refuses; the copy is next
            config[_KEY] = target
            return config
    make: Callable[[Any], Any] = MappingProxyType if type(config) is MappingProxyType else type(config)
    return make({key: target if key == _KEY else config[key] for key in config.keys()})  # noqa: SIM118


def _pointed_omegaconf(config: Any, directory: Path) -> Any:
    content = omegaconf_content(config)
    if not isinstance(content, dict) or _KEY not in content:
        return config
    target = _like(content[_KEY], directory)
    omegaconf = sys.modules["omegaconf"].OmegaConf
    if not omegaconf.is_readonly(config):
        config[_KEY] = target
        return config
    clone = copy.deepcopy(config)
    omegaconf.set_readonly(clone, value=False)
    clone[_KEY] = target
    omegaconf.set_readonly(clone, value=True)
    return clone


def _pointed_pydantic(config: Any, target: Path | str, version: int) -> Any:
    if _is_frozen_pydantic(type(config), version):
        change = config.copy if version == 1 else config.model_copy
        return change(update={_KEY: target})
    # Not by assignment: with `validate_assignment` that runs every validator of the model.
    extra = getattr(config, "__pydantic_extra__", None) or {}
    (extra if _KEY in extra else vars(config))[_KEY] = target
    getattr(config, "__fields_set__" if version == 1 else "__pydantic_fields_set__").add(_KEY)
    return config


def _is_frozen_pydantic(cls: Any, version: int) -> bool:
    if version == 1:
        settings = cls.__config__
        return not settings.allow_mutation or bool(getattr(settings, "frozen", False))
    field = pydantic_fields(cls).get(_KEY)
    return bool(cls.model_config.get("frozen") or getattr(field, "frozen", False))


def _pointed_object(config: Any, target: Path | str) -> Any:
    if is_named_tuple(type(config)):
        return config._replace(**{_KEY: target})
    try:
        setattr(config, _KEY, target)
    except AttributeError:
        # This is how dataclasses, attrs classes, structs and most others say that they are frozen.
        return _changed_copy(config, target)
    except Exception:
        if declared_settings(config) is None:
            return _changed_copy(config, target)
        # The field has a validator that our directory does not pass, and which was not made for it.
        object.__setattr__(config, _KEY, target)
    if str(read(config, _KEY)) != str(target):
        # A validator or hook made something else of it, as in `save_dir / "today"`.
        object.__setattr__(config, _KEY, target)
    return config


def _changed_copy(config: Any, target: Path | str) -> Any:
    try:
        clone = copy.copy(config)
        object.__setattr__(clone, _KEY, target)
    except Exception:
        declared = declared_settings(config)
        if declared is None:
            raise
        # A struct of msgspec can only be made anew. Without declared fields that would lose all the others.
        return type(config)(**{**{str(name): item for name, item in declared}, _KEY: target})
    if hasattr(clone, "_attrs_cached_hash"):
        object.__setattr__(clone, "_attrs_cached_hash", None)
    return clone
