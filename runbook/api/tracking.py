"""`with experiment(...)` and `@tracked`, which run the lifecycle around a block or a call.

The modules that they need are imported by the first call, so that `import runbook` stays fast.
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
        lifecycle: the lifecycle of an experiment that has not started.
    """

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._lifecycle: Lifecycle | None = lifecycle
        self._running: Lifecycle | None = None

    def open(self) -> Experiment:
        """Start the experiment, and make it the current one.

        Raises:
            UsageError: if it was entered before.
        """
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
        """End the experiment; `error` is the exception that left the block, None if it came to its end."""
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
    """A block of code that is recorded as an experiment: folder, config, metrics, environment and status.

    The folder exists when the block begins. When the block ends, the true status is recorded, whatever ended it.

    Args:
        config: the settings, as a mapping, a dataclass, or any object with attributes. If it has a `save_dir`, that
            is set to the experiment's checkpoints folder: in the object itself, or in a copy if the object is frozen.
            `exp.config` is the one with that path.
        base_dir: the base directory, which holds the experiments; by default `RUNBOOK_DIR`, else `./experiments`.
        **options: see below; each is optional.

    Options:
        name: any string; it becomes part of the folder's name as far as file names allow.
        description: what the experiment tests.
        tags: words to find it by.
        hash_exclude: settings that do not count when two configs are compared by their hash: keys, dotted paths or
            patterns. Output paths never count.
        resume: whether to resume an experiment that was interrupted or failed, as a new attempt in the same folder.
            "never", the default, starts a new experiment. "allow" resumes the latest experiment of this name (without
            a name: of this config) if it did not complete, and else starts a new one. "must" does the same, and
            raises an error instead of starting a new one. "auto" resumes if a scheduler has requeued this very job
            (Slurm's requeue), and else starts a new one. Anything else is the id of the experiment to resume, the
            beginning of the id, or its name.
        allow_config_change: whether an experiment may be resumed with another config than the one it began with.
        rank: the rank of this process in a distributed training; by default that of the launcher, from `RANK`,
            `OMPI_COMM_WORLD_RANK`, `SLURM_PROCID` or `LOCAL_RANK`. A rank above 0 makes no second experiment: `exp`
            has the id and the paths of the experiment of rank 0, and its writes do nothing.
        redact: what is removed from the recorded config and its hash. "secrets", the default, replaces settings with
            the name of a secret (`api_key`, `password`) and values with the form of one (`hf_…`, passwords in
            addresses) by "<redacted>". "off" records everything. A function takes the config as JSON-compatible data
            and returns the config to record. `exp.config` is your own object and is never redacted.

    Returns:
        A context manager for `with` and `async with`; the block gets the live `Experiment`.

    Raises:
        TypeError: for an unknown option; the message names the known ones.
        ConfigError: if the config holds no settings.
        UsageError: if `resume`, `rank` or `redact` has a value without a meaning.
        BaseDirectoryError: when the block begins, if the base directory cannot be used.
        ResumeError: when the block begins, if the experiment to resume is running, completed, or missing.
        ConfigDiffersError: when the block begins, if the experiment to resume began with another config; the message
            shows the difference.

    Example:
        >>> with experiment({"lr": 0.1}, name="baseline") as exp:  # doctest: +SKIP
        ...     exp.log(loss=0.3)
    """
    from runbook.index import open_default_index
    from runbook.run.lifecycle import Lifecycle
    from runbook.run.plan import make_plan

    return ExperimentBlock(Lifecycle(make_plan(config, **options), open_default_index(base_dir)))


def current_experiment() -> Experiment | None:
    """The innermost running experiment of this thread or task; None if there is none.

    Example:
        >>> from runbook import current_experiment
        >>> current_experiment() is None
        True
    """
    lifecycle = sys.modules.get("runbook.run.lifecycle")
    # If the module is not loaded yet, no experiment has started.
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

    You can decorate functions, `async def`, generators, async generators, methods, static methods and class methods.
    The function keeps its result, name, documentation, types and exceptions.

    The arguments of a call are the config. If there is a single argument and it is a config object, it is the config
    itself. A parameter that is annotated `Experiment`, or that is named `exp` and has no default, receives the live
    experiment; callers do not pass it. An argument `save_dir`, and the `save_dir` of an argument that is a config, is
    set to the experiment's checkpoints folder.

    Args:
        function: the function, if the decorator is written without parentheses.
        base_dir: the base directory, looked up at each call; by default `RUNBOOK_DIR`, else `./experiments`.
        **options: those of `experiment`, which hold for each call, and those below. By default the name is that of
            the function, and the description is the first line of its documentation.

    Options:
        config: the name of the parameter that is the config, or a config that is the same for each call.
        save_result: whether the numbers of a returned mapping become the final metrics; they do by default.
        skip_completed: whether a call is skipped if an experiment of this function with this config has completed
            before; a skipped call returns None and logs a warning.

    Raises:
        TypeError: for an unknown option; the message names the known ones.
        UsageError: if `config` names no parameter, or what is decorated is no function.

    Example:
        >>> @tracked(tags=["digits"])  # doctest: +SKIP
        ... def train(lr: float, exp: Experiment) -> dict[str, float]:
        ...     exp.log(loss=0.3)
        ...     return {"accuracy": 0.97}
        >>> train(0.1)  # doctest: +SKIP
        {'accuracy': 0.97}
    """
    from runbook.api.decorator import decorate
    from runbook.index import open_default_index

    return decorate(function, functools.partial(open_default_index, base_dir), options)
