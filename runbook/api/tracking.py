"""The two ways in: `with experiment(...)` and `@tracked`, thin shells over the lifecycle.

What they stand on is imported when an experiment is asked for, so that a program which imports their names pays for
none of it before.
"""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Unpack

    from runbook.run.experiment import Experiment
    from runbook.run.lifecycle import Lifecycle
    from runbook.typing import ExperimentOptions, StrPath, TrackedOptions

__all__ = ["ExperimentBlock", "TrackedDecorator", "current_experiment", "experiment", "tracked"]

E = TypeVar("E", bound="Experiment")
P = ParamSpec("P")
R = TypeVar("R")


class ExperimentBlock:
    """The context manager that `experiment()` returns, for `with` and `async with`; it can be entered once.

    Args:
        lifecycle: the experiment to be.
    """

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._lifecycle: Lifecycle | None = lifecycle
        self._running: Lifecycle | None = None

    def open(self) -> Experiment:
        """Start the experiment and make it the current one."""
        if self._lifecycle is None:
            from runbook import errors
            from runbook.hints import Hint

            hint = Hint("call experiment(...) again for another", None)
            raise errors.UsageError("this experiment was entered before", hint)
        self._running, self._lifecycle = self._lifecycle, None
        experiment = self._running.open()
        self._running.activate()
        return experiment

    def close(self, error: BaseException | None = None) -> None:
        """End the experiment as `error` says; None means that the block came to its end."""
        if self._running is not None:
            self._running.close(error)

    def __enter__(self) -> Experiment:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(error)

    async def __aenter__(self) -> Experiment:
        return self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(error)


def experiment(
    config: object = None, *, base_dir: StrPath | None = None, **options: Unpack[ExperimentOptions]
) -> ExperimentBlock:
    """An experiment around a block of code: its folder, config, metrics, environment, status and registry.

    The folder exists when the block begins; when it ends the status is true, whatever ended it.

    Args:
        config: the settings, as a mapping, dataclass, or any object with attributes. A `save_dir` in it is pointed
            at the experiment's checkpoints folder, in place or, where it is frozen, in a copy: `exp.config`.
        base_dir: where experiments are kept; by default `RUNBOOK_DIR`, else `./experiments`.
        **options: see below; each may be left out.

    Options:
        name: any string; it becomes part of the folder's name as far as file names allow.
        description: what it tests.
        tags: words to find it by.
        hash_exclude: settings that do not count when two configs are compared by their hash: key names,
            dotted paths or patterns. Output paths never count.
        resume: whether to go on, as a new attempt in the same folder, with an experiment that was interrupted or
            failed. "never", the default, starts a new one. "allow" goes on with the latest of this name (without a
            name: of this config) if it did not complete, and else starts a new one. "must" refuses to start a new
            one. "auto" goes on when a scheduler has put this very job into its queue again (Slurm's requeue), and
            else starts a new one. Anything else is the id of the experiment to go on with, the beginning of it, or
            its name.
        allow_config_change: whether an experiment may go on with a config that differs from the one it began with.
        rank: of this process in a distributed training; by default what the launcher says in `RANK`,
            `OMPI_COMM_WORLD_RANK`, `SLURM_PROCID` or `LOCAL_RANK`. Above 0, no second experiment is made: `exp` has
            the id and the paths of that of rank 0, and its writes do nothing.
        redact: what is kept out of the recorded config and its hash. "secrets", the default, replaces settings named
            like one (`api_key`, `password`) and values shaped like one (`hf_…`, passwords in addresses) by
            "<redacted>"; "off" records everything; a function takes the config as plain data and gives the one to
            record. `exp.config` is your own object and has everything in any case.

    Returns:
        A context manager that gives the live `Experiment`.

    Raises:
        TypeError: for an option that there is not, naming those that there are.
        ConfigError: if the config holds no settings.
        BaseDirectoryError: on entering, if the base directory cannot be used.
        ResumeError: on entering, if the experiment to go on with runs, is completed, or is not there.
        ConfigDiffersError: on entering, if it began with another config; the message shows the difference.

    Example:
        >>> with experiment({"lr": 0.1}, name="baseline") as exp:  # doctest: +SKIP
        ...     exp.log(loss=0.3)
    """
    from runbook.index import open_default_index
    from runbook.run.lifecycle import Lifecycle
    from runbook.run.plan import make_plan

    return ExperimentBlock(Lifecycle(make_plan(config, **options), open_default_index(base_dir)))


def current_experiment() -> Experiment | None:
    """The innermost running experiment of this thread or task; None outside of any.

    Example:
        >>> from runbook import current_experiment
        >>> current_experiment() is None
        True
    """
    lifecycle = sys.modules.get("runbook.run.lifecycle")
    # Where nobody has loaded it yet, nothing runs.
    return None if lifecycle is None else lifecycle.current_experiment()


class TrackedDecorator(Protocol):
    """What `tracked(...)` with arguments returns."""

    @overload
    def __call__(self, function: Callable[Concatenate[E, P], R], /) -> Callable[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Callable[P, R]: ...


@overload
def tracked(function: Callable[Concatenate[E, P], R], /) -> Callable[P, R]: ...
@overload
def tracked(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def tracked(*, base_dir: StrPath | None = ..., **options: Unpack[TrackedOptions]) -> TrackedDecorator: ...
def tracked(function: Callable[..., Any] | None = None, /, *, base_dir: StrPath | None = None, **options: Any) -> Any:
    """Make every call of a function an experiment.

    It goes on plain functions, `async def`, generators, async generators, methods, static and class methods. The
    function's result, name, documentation and types stay as they are, and so do its exceptions.

    The arguments of a call are the config; a single argument that is a config object is taken as it is. A parameter
    annotated `Experiment`, or named `exp` and without a default, receives the live experiment, and callers do not
    pass it. An argument called `save_dir`, or an argument that is a config with one, is pointed at the experiment's
    checkpoints folder.

    Args:
        function: the function, where the decorator is written without parentheses.
        base_dir: where experiments are kept; by default `RUNBOOK_DIR`, else `./experiments`, asked at each call.
        **options: those of `experiment`, which hold for each call, and those below. The name is that of the function
            and the description the first line of its documentation, unless they are given.

    Options:
        config: the name of the parameter that is the config, or a config that is the same for each call.
        save_result: whether the numbers of a returned mapping become the final metrics; they do by default.
        skip_completed: whether a call is skipped, returns None and says so, when an experiment of this function with
            this config has completed before.

    Raises:
        TypeError: for an option that there is not, naming those that there are.
        UsageError: if `config` names no parameter, or what is decorated is no function.

    Example:
        >>> @tracked(tags=["digits"])  # doctest: +SKIP
        ... def train(lr: float, exp: Experiment) -> dict[str, float]:
        ...     exp.log(loss=0.3)
        ...     return {"accuracy": 0.97}
        >>> train(0.1)  # doctest: +SKIP
        {'accuracy': 0.97}
    """
    from runbook.api.decorator import decorated
    from runbook.index import open_default_index

    return decorated(function, functools.partial(open_default_index, base_dir), options)
