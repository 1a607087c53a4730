"""Setting the `save_dir` of a config to the folder of the experiment; nothing else in a config is ever changed.

Each kind of object is changed, and frozen, in its own way. A frozen object is copied, and the copy is changed.
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
    class_fields,
    declared_fields,
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
    `save_dir` is returned as it is. Never raises: a config whose `save_dir` cannot be set is returned as it is,
    with one warning for its type.

    Args:
        config: any config.
        directory: set as a `Path` where `save_dir` was a path object, else as a string.
    """
    try:
        return _set_save_dir(config, directory)  # type: ignore[no-any-return]
    except Exception as error:  # whatever the user's object raises, the training goes on
        name = type_name(type(config))
        with suppress(Exception):
            warn_once(
                f"save_dir:{name}",
                f"could not set save_dir of a config of type {name} ({type(error).__name__}: {error}); "
                f"set it to the experiment's directory yourself: {directory}",
            )
        return config


def _set_save_dir(config: Any, directory: Path) -> Any:
    cls = type(config)
    if issubclass(cls, type):
        names = dict(class_fields(config))
        if _KEY in names:
            setattr(config, _KEY, _convert_like(names[_KEY], directory))
        return config
    if is_omegaconf(cls):
        return _set_in_omegaconf(config, directory)
    if is_mapping_like(cls):
        return _set_in_mapping(config, directory)
    if not _has_save_dir(config, cls):
        return config
    target = _convert_like(read(config, _KEY), directory)
    version = pydantic_version(cls)
    return _set_in_object(config, target) if version is None else _set_in_pydantic(config, target, version)


def _convert_like(current: object, directory: Path) -> Path | str:
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
            # Of descriptors, a slot and a property can be set; a method cannot.
            return hasattr(type(item), "__set__") or not is_behaviour(item)
    return any(name == _KEY for name, _ in declared_fields(config) or ())


def _set_in_mapping(config: Any, directory: Path) -> Any:
    if _KEY not in list(config.keys()):
        return config
    target = _convert_like(config[_KEY], directory)
    # A frozen yacs config refuses only to set attributes; its items can still be set.
    is_frozen = defines(type(config), "is_frozen") and config.is_frozen()
    if defines(type(config), "__setitem__") and not is_frozen:
        with suppress(Exception):  # a mapping of the user's that refuses; it is copied below
            config[_KEY] = target
            return config
    make: Callable[[Any], Any] = MappingProxyType if type(config) is MappingProxyType else type(config)
    return make({key: target if key == _KEY else config[key] for key in config.keys()})  # noqa: SIM118


def _set_in_omegaconf(config: Any, directory: Path) -> Any:
    content = omegaconf_content(config)
    if not isinstance(content, dict) or _KEY not in content:
        return config
    target = _convert_like(content[_KEY], directory)
    omegaconf = sys.modules["omegaconf"].OmegaConf
    if not omegaconf.is_readonly(config):
        config[_KEY] = target
        return config
    clone = copy.deepcopy(config)
    omegaconf.set_readonly(clone, value=False)
    clone[_KEY] = target
    omegaconf.set_readonly(clone, value=True)
    return clone


def _set_in_pydantic(config: Any, target: Path | str, version: int) -> Any:
    if _is_frozen_pydantic(type(config), version):
        change = config.copy if version == 1 else config.model_copy
        return change(update={_KEY: target})
    # An assignment would run every validator of a model with `validate_assignment`.
    extra = getattr(config, "__pydantic_extra__", None) or {}
    (extra if _KEY in extra else vars(config))[_KEY] = target
    getattr(config, "__fields_set__" if version == 1 else "__pydantic_fields_set__").add(_KEY)
    return config


def _is_frozen_pydantic(cls: Any, version: int) -> bool:
    if version == 1:
        options = cls.__config__
        return not options.allow_mutation or bool(getattr(options, "frozen", False))
    field = pydantic_fields(cls).get(_KEY)
    return bool(cls.model_config.get("frozen") or getattr(field, "frozen", False))


def _set_in_object(config: Any, target: Path | str) -> Any:
    if is_named_tuple(type(config)):
        return config._replace(**{_KEY: target})
    try:
        setattr(config, _KEY, target)
    except AttributeError:
        # Frozen dataclasses, attrs classes, structs and most others raise this.
        return _copy_with_save_dir(config, target)
    except Exception:
        if declared_fields(config) is None:
            return _copy_with_save_dir(config, target)
        # A validator of the field refuses the directory; it was written for the user's values.
        object.__setattr__(config, _KEY, target)
    if str(read(config, _KEY)) != str(target):
        # A validator or hook changed the value, as in `save_dir / "today"`.
        object.__setattr__(config, _KEY, target)
    return config


def _copy_with_save_dir(config: Any, target: Path | str) -> Any:
    try:
        clone = copy.copy(config)
        object.__setattr__(clone, _KEY, target)
    except Exception:
        declared = declared_fields(config)
        if declared is None:
            raise
        # A frozen struct of msgspec can only be created again. Without declared fields the others would be lost.
        return type(config)(**{**{str(name): item for name, item in declared}, _KEY: target})
    if hasattr(clone, "_attrs_cached_hash"):
        object.__setattr__(clone, "_attrs_cached_hash", None)
    return clone
