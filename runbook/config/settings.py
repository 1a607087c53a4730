"""A whole config: whether a value is one, its JSON-compatible form, its hash, and its `save_dir`."""

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
    carries_attributes,
    class_fields,
    declared_fields,
    fields_of,
    is_config_class,
    is_mapping_like,
    is_omegaconf,
    is_sequence,
    public_attributes,
)
from runbook.serialize.scalars import describe_by_repr, scalar_rule, type_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from runbook.typing import Json, JsonObject

__all__ = ["config_hash", "config_to_jsonable", "is_config", "point_save_dir"]

MAX_ARRAY: Final = 100
"""An array with more elements than this is described in a config and not written out."""

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
"""Settings for the place of the output; two configs that differ only in these have the same hash."""

_HASH_LENGTH: Final = 8

_CONFIG_WORD: Final = re.compile(
    r"(config(uration)?|cfg|conf|args|arguments|h?params|(hyper)?parameters|settings|options)$", re.IGNORECASE
)


def is_config(value: Any) -> bool:
    """Whether a value is itself a config, and not one setting among others.

    Configs are mappings, instances of dataclasses, attrs classes and pydantic models, named tuples,
    namespaces, objects of somebody's own class that carry public attributes, and such classes themselves.
    No configs are numbers, strings, sequences, arrays, tables, callables, iterables, estimators, and the objects
    of an installed library, unless the name of their class ends in a word such as config, arguments or settings.
    """
    try:
        return _is_config(value)
    except Exception:  # an object that raises when it is read is no config
        return False


def config_to_jsonable(config: object) -> JsonObject:
    """The settings of a config as JSON-compatible data; `{}` for None.

    A class used as a config has the attributes in its body as settings, an instance of it also its own
    attributes. Arrays of more than 100 elements are described instead of written out.

    Raises:
        ConfigError: for a value without settings, such as a number, a string, a list or a function.

    Example:
        >>> class Config:
        ...     lr = 1e-3
        ...     layers = (64, 32)
        >>> config_to_jsonable(Config)
        {'lr': 0.001, 'layers': [64, 32]}
    """
    if config is None:
        return {}
    try:
        pairs = _fields(config)
    except Exception:  # a mapping that cannot be read; perhaps the training never reads it whole
        return describe_by_repr(config)
    if pairs is None:
        raise ConfigError(type_name(type(config)), "holds no settings")
    return pairs_to_jsonable(config, pairs, max_array=MAX_ARRAY)


def config_hash(config: Mapping[str, Json], exclude: Iterable[str] = ()) -> str:
    """Eight hex digits that are the same for the same settings, in any order and in any process.

    The `OUTPUT_KEYS` do not count, at any depth. `1` and `1.0` count as the same number.

    Args:
        config: the config as JSON-compatible data.
        exclude: further settings that do not count: a key, at any depth, or a dotted path from the top. Both may
            contain wildcards as in a shell: `"wandb_*"`, `"logging.*"`.
    """
    import hashlib

    return hashlib.sha256(canonical(config, exclude).encode("utf-8")).hexdigest()[:_HASH_LENGTH]


def canonical(value: object, exclude: Iterable[str] = ()) -> str:
    """The text that `config_hash` hashes: values that count as the same have the same text.

    Args:
        value: a config, or one setting of it.
        exclude: as for `config_hash`.
    """
    import json

    patterns = (exclude,) if isinstance(exclude, str) else tuple(exclude)
    counted = _counted(to_jsonable(value), (), patterns)
    return json.dumps(counted, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def without_outputs(flat: Mapping[str, V], exclude: Iterable[str] = ()) -> dict[str, V]:
    """The settings that count in the hash.

    Args:
        flat: settings by dotted path, with any value.
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
        return is_config_class(value) and _is_users_own(value)
    if _is_value(cls):
        return False
    if is_omegaconf(cls) or is_mapping_like(cls):
        return fields_of(value) is not None
    if callable(value):
        return False
    if declared_fields(value) is not None:
        return True
    return fields_of(value) is not None and _is_users_own(cls)


def _is_value(cls: type) -> bool:
    """Whether instances of a class are single values or collections of values without names."""
    return (
        issubclass(cls, (Enum, set, frozenset))
        or is_sequence(cls)
        or is_table(cls)
        or is_array(cls)
        or scalar_rule(cls) is not None
    )


def _is_users_own(cls: type) -> bool:
    """Whether a class without declared fields is a config of the user's, and not a tool such as an estimator."""
    if hasattr(cls, "fit"):
        return False
    file = getattr(sys.modules.get(cls.__module__), "__file__", None) or ""
    is_installed = "site-packages" in file or "dist-packages" in file
    return not is_installed or _CONFIG_WORD.search(cls.__name__) is not None


def _fields(config: Any) -> Pairs | None:
    cls = type(config)
    if issubclass(cls, type):
        return class_fields(config) if is_config_class(config) else None
    if _is_value(cls):
        return None
    pairs = fields_of(config)
    if pairs is None and carries_attributes(cls):
        # A user who passes this as the config means its attributes, even if it can be iterated over as well.
        return public_attributes(config) or None
    return pairs


def _counted(data: Json, path: tuple[str, ...], patterns: tuple[str, ...]) -> Json:
    """The settings that count in the hash; a float that is a whole number becomes an int."""
    if isinstance(data, dict):
        return {
            key: _counted(item, (*path, key), patterns)
            for key, item in data.items()
            if key not in OUTPUT_KEYS and not (patterns and _matches(key, ".".join((*path, key)), patterns))
        }
    if isinstance(data, list):
        return [_counted(item, (*path, str(index)), patterns) for index, item in enumerate(data)]
    return int(data) if isinstance(data, float) and data.is_integer() else data


def _matches(key: str, dotted: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(key, one) or fnmatchcase(dotted, one) for one in patterns)
