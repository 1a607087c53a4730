"""A whole config: whether a value is one, its plain form, its hash, and its `save_dir`."""

from __future__ import annotations

import re
import sys
from enum import Enum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final, TypeVar

from runbook.config.save_dir import point_save_dir
from runbook.errors import ConfigError
from runbook.serialize.arrays import is_array, is_table
from runbook.serialize.jsonable import pairs_to_jsonable, to_jsonable
from runbook.serialize.objects import (
    Pairs,
    attribute_settings,
    carries_attributes,
    class_settings,
    declared_settings,
    is_mapping_like,
    is_omegaconf,
    is_sequence,
    is_settings_class,
    settings_of,
)
from runbook.serialize.scalars import by_repr, leaf_rule, type_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from runbook.typing import Json, JsonObject

__all__ = ["config_hash", "config_to_jsonable", "is_config", "point_save_dir"]

MAX_ARRAY: Final = 100
"""Arrays with more elements than this are described in a config, not written out."""

V = TypeVar("V")

OUTPUT_KEYS: Final = frozenset(
    {
        "save_dir",
        "output_dir",
        "log_dir",
        "logging_dir",
        "logdir",
        "checkpoint_dir",
        "checkpoints_dir",
        "ckpt_dir",
        "results_dir",
        "run_dir",
        "work_dir",
        "default_root_dir",
    }
)
"""Settings that say where the output goes; two runs that differ only in these are the same experiment."""

_HASH_LENGTH: Final = 8

_CONFIG_WORD: Final = re.compile(
    r"(config(uration)?|cfg|conf|args|arguments|h?params|(hyper)?parameters|settings|options)$", re.IGNORECASE
)


def is_config(value: Any) -> bool:
    """Whether a value is itself a config, and not one setting among others.

    Configs are mappings, instances of dataclasses, attrs classes and pydantic models, named tuples,
    namespaces, objects of somebody's own class that carry public attributes, and such classes themselves.
    Not so numbers, strings, sequences, arrays, tables, whatever can be called or run through, estimators,
    and the objects of an installed library, unless their class is called a config, arguments or settings.
    """
    try:
        return _is_config(value)
    except Exception:  # an object that breaks under the question is no config
        return False


def config_to_jsonable(config: object) -> JsonObject:
    """The settings of a config as plain data; `{}` for None.

    A class used as a config gives the attributes in its body, an instance of it also its own. Arrays of more
    than 100 elements are described instead of written out.

    Raises:
        ConfigError: for a value without settings, such as a number, a string, a list or a function.

    Example:
        >>> class Config:
        ...     lr = 1e-3
        ...     layers = (64, 32)
        >>> config_to_plain(Config)
        {'lr': 0.001, 'layers': [64, 32]}
    """
    if config is None:
        return {}
    try:
        pairs = _settings(config)
    except Exception:  # a mapping that cannot be read; the training may well do without reading it whole
        return by_repr(config)
    if pairs is None:
        raise ConfigError(type_name(type(config)), "holds no settings")
    return pairs_to_jsonable(config, pairs, max_array=MAX_ARRAY)


def config_hash(plain: Mapping[str, Json], exclude: Iterable[str] = ()) -> str:
    """Eight hex digits that are the same for the same settings: in any order, process and year.

    Where the output goes does not count: see `OUTPUT_KEYS`, which are left out at any depth. Nor does it
    matter whether a number is written as `1` or as `1.0`.

    Args:
        plain: the config as plain data.
        exclude: further settings that do not count, each as a key that is left out at any depth, or as a
            dotted path from the top. Both may hold the wildcards of the shell: `"wandb_*"`, `"logging.*"`.
    """
    import hashlib

    return hashlib.sha256(canonical(plain, exclude).encode("utf-8")).hexdigest()[:_HASH_LENGTH]


def canonical(plain: object, exclude: Iterable[str] = ()) -> str:
    """One text for all that `config_hash` takes for the same: the text that it hashes.

    Args:
        plain: a config, or one setting of it.
        exclude: as for `config_hash`.
    """
    import json

    patterns = (exclude,) if isinstance(exclude, str) else tuple(exclude)
    counted = _counted(to_jsonable(plain), (), patterns)
    return json.dumps(counted, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def without_outputs(flat: Mapping[str, V], exclude: Iterable[str] = ()) -> dict[str, V]:
    """Of settings by their dotted path, those that count in the hash.

    Args:
        flat: anything by dotted path.
        exclude: as for `config_hash`.
    """
    patterns = (exclude,) if isinstance(exclude, str) else tuple(exclude)
    return {
        dotted: value
        for dotted, value in flat.items()
        if not any(key in OUTPUT_KEYS or _matches(key, dotted, patterns) for key in dotted.split("."))
    }


def _is_config(value: Any) -> bool:
    cls = type(value)
    if issubclass(cls, type):
        return is_settings_class(value) and _is_somebodys(value)
    if _is_value(cls):
        return False
    if is_omegaconf(cls) or is_mapping_like(cls):
        return settings_of(value) is not None
    if callable(value):
        return False
    if declared_settings(value) is not None:
        return True
    return settings_of(value) is not None and _is_somebodys(cls)


def _is_value(cls: type) -> bool:
    """Whether instances of a class are single values or collections of values, none of them with a name."""
    return (
        issubclass(cls, (Enum, set, frozenset))
        or is_sequence(cls)
        or is_table(cls)
        or is_array(cls)
        or leaf_rule(cls) is not None
    )


def _is_somebodys(cls: type) -> bool:
    """Whether a class without declared fields looks like a config of the user's, and not like a tool."""
    if hasattr(cls, "fit"):
        return False
    file = getattr(sys.modules.get(cls.__module__), "__file__", None) or ""
    is_installed = "site-packages" in file or "dist-packages" in file
    return not is_installed or _CONFIG_WORD.search(cls.__name__) is not None


def _settings(config: Any) -> Pairs | None:
    cls = type(config)
    if issubclass(cls, type):
        return class_settings(config) if is_settings_class(config) else None
    if _is_value(cls):
        return None
    pairs = settings_of(config)
    if pairs is None and carries_attributes(cls):
        # Whoever hands this over as the config means its attributes, even if it can be run through as well.
        return attribute_settings(config) or None
    return pairs


def _counted(plain: Json, path: tuple[str, ...], patterns: tuple[str, ...]) -> Json:
    """The settings that count for the hash, each number in the one form that it shares with its equals."""
    if isinstance(plain, dict):
        return {
            key: _counted(item, (*path, key), patterns)
            for key, item in plain.items()
            if key not in OUTPUT_KEYS and not (patterns and _matches(key, ".".join((*path, key)), patterns))
        }
    if isinstance(plain, list):
        return [_counted(item, (*path, str(index)), patterns) for index, item in enumerate(plain)]
    return int(plain) if isinstance(plain, float) and plain.is_integer() else plain


def _matches(key: str, dotted: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(key, one) or fnmatchcase(dotted, one) for one in patterns)
