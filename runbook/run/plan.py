"""An experiment whose options have been checked, before anything is written to disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from runbook import errors
from runbook.config import settings as configs
from runbook.config.redaction import redactor
from runbook.hints import Hint
from runbook.run.experiment import as_tags
from runbook.typing import ExperimentOptions, JsonObject

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Unpack


RESUME_WORDS: Final = ("never", "allow", "must", "auto")


@attrs.frozen
class Plan:
    """An experiment that is ready to start.

    Args:
        config: the user's config object.
        settings: the same as JSON-compatible data, redacted.
        config_hash: eight hex digits that are the same for the same settings.
        hash_exclude: the settings that do not count in the hash.
        name: the user's name for it.
        description: what it tests.
        tags: words to find it by.
        resume: one of `RESUME_WORDS`, or the id, the beginning of it, or the name of the experiment to resume.
        allow_config_change: whether an experiment may be resumed with another config.
        rank: of this process in a distributed training; None takes it from the environment.
        function: the qualified name of the tracked function.
        is_arguments: whether the config is the arguments of a call, one of which may be a config with a `save_dir`.
    """

    config: object
    settings: JsonObject
    config_hash: str
    hash_exclude: tuple[str, ...] = ()
    name: str | None = None
    description: str | None = None
    tags: tuple[str, ...] = ()
    resume: str = "never"
    allow_config_change: bool = False
    rank: int | None = None
    function: str | None = None
    is_arguments: bool = False


def check_options(options: Mapping[str, object], known: type = ExperimentOptions) -> None:
    """Refuse an unknown option.

    Args:
        options: the options that were given.
        known: the class that lists the known options.

    Raises:
        TypeError: if an option is unknown; the message names it and the known ones.
    """
    unknown = options.keys() - known.__annotations__.keys()
    if unknown:
        raise TypeError(
            f"unknown option {min(unknown)!r} of an experiment; use one of: {', '.join(known.__annotations__)}"
        )


def make_plan(
    config: object = None,
    *,
    function: str | None = None,
    is_arguments: bool = False,
    **options: Unpack[ExperimentOptions],
) -> Plan:
    """A plan for an experiment, from checked options; nothing is written to disk.

    Args:
        config: the user's config object.
        function: the qualified name of the tracked function.
        is_arguments: whether the config is the arguments of a call.
        **options: those of `experiment`.

    Raises:
        TypeError: for an unknown option.
        ConfigError: if the config holds no settings.
        UsageError: if `resume`, `rank` or `redact` has a value without a meaning.
    """
    check_options(options)
    name, description = options.get("name"), options.get("description")
    hash_exclude = tuple(options.get("hash_exclude", ()))
    resume: object = options.get("resume", "never")
    if not isinstance(resume, str) or not resume:
        hint = Hint(f"use one of {', '.join(RESUME_WORDS)}, or an id", None)
        raise errors.UsageError(f"resume={resume!r} names no experiment", hint)
    # Redacted before it is hashed: a short secret could be found by trying which one gives the hash.
    settings = redactor(options.get("redact", "secrets"))(configs.config_to_jsonable(config))
    return Plan(
        config={} if config is None else config,
        settings=settings,
        config_hash=configs.config_hash(settings, exclude=hash_exclude),
        hash_exclude=hash_exclude,
        name=None if name is None else str(name),
        description=None if description is None else str(description),
        tags=as_tags(options.get("tags", ())),
        resume=resume,
        allow_config_change=options.get("allow_config_change", False),
        rank=_check_rank(options.get("rank")),
        function=function,
        is_arguments=is_arguments,
    )


def _check_rank(rank: object) -> int | None:
    # A program may pass on what a launcher has put into the environment, which is text.
    if rank is None:
        return None
    if isinstance(rank, str | int) and str(rank).isdecimal():
        return int(rank)
    hint = Hint("pass a number from 0 on, or leave it to the environment", None)
    raise errors.UsageError(f"rank={rank!r} is no rank", hint)
