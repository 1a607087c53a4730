"""The wrapper around a tracked function: the lifecycle around each call."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from runbook import errors
from runbook.binding import Binding, BoundCall
from runbook.lifecycle import Lifecycle, plan
from runbook.notices import warn
from runbook.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType


@attrs.frozen
class Options:
    """What was said to `tracked`; see there.

    Args:
        registry: gives the index of the base directory, asked at each call.
        name: of the experiments.
        description: of the experiments.
        tags: of the experiments.
        config: the name of a parameter, or a config that is the same for each call.
        hash_exclude: settings that do not count in the hash.
        save_result: whether a returned mapping's numbers become the final metrics.
    """

    registry: Callable[[], Registry | None]
    name: str | None = None
    description: str | None = None
    tags: tuple[str, ...] = ()
    config: object = None
    hash_exclude: tuple[str, ...] = ()
    save_result: bool = True


def wrap(function: Any, options: Options) -> Any:
    """A function whose every call is an experiment, of the same kind as `function`.

    Raises:
        UsageError: if it is no function, or lacks the parameter that is to be the config.
    """
    if isinstance(function, staticmethod | classmethod):
        return type(function)(wrap(function.__func__, options))
    if inspect.isclass(function) or not callable(function):
        raise errors.UsageError(f"@tracked goes on a function, not on {function!r}; put it on a method, or use a block")
    tracker = _Tracker(function, options)
    wrapper: Any = functools.update_wrapper(_wrapper_for(function, tracker), function)
    wrapper.__signature__ = tracker.binding.signature
    return wrapper


class _Tracker:
    """One tracked function: starts the experiment of each call."""

    def __init__(self, function: Callable[..., Any], options: Options) -> None:
        self._options = options
        self._function_name = getattr(function, "__qualname__", type(function).__qualname__)
        self._module = getattr(function, "__module__", None)
        self._documentation = (inspect.getdoc(function) or "").partition("\n")[0] or None
        self.binding = Binding(function, options.config if isinstance(options.config, str) else None)

    def start(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Run:
        """Everything that can be wrong with a call is found here, before anything is made."""
        options = self._options
        call = self.binding.bind(args, kwargs)
        is_fixed = options.config is not None and not isinstance(options.config, str)
        what = plan(
            options.config if is_fixed else call.config,
            name=options.name or self._function_name.rpartition(".")[2],
            description=options.description or self._documentation,
            tags=options.tags,
            hash_exclude=options.hash_exclude,
            function=f"{self._module}.{self._function_name}",
            is_arguments=not is_fixed and call.config_parameter is None,
        )
        return _Run(self, call, Lifecycle(what, options.registry()), is_fixed=is_fixed, save_result=options.save_result)


class _Run:
    """One call of a tracked function."""

    def __init__(
        self, tracker: _Tracker, call: BoundCall, lifecycle: Lifecycle, *, is_fixed: bool, save_result: bool
    ) -> None:
        self._tracker = tracker
        self._call = call
        self._lifecycle = lifecycle
        self._is_fixed = is_fixed
        self._save_result = save_result

    def __enter__(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        experiment = self._lifecycle.open()
        return self._tracker.binding.arguments_for(self._call, experiment, is_fixed=self._is_fixed)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lifecycle.close(error)

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """Make the experiment the current one while the function's own code runs.

        A generator's code runs between two `yield`s; a variable that stayed set meanwhile would be seen by its caller.
        """
        self._lifecycle.activate()
        try:
            yield
        finally:
            self._lifecycle.deactivate()

    def keep(self, result: Any) -> Any:
        """Save the numbers of a returned mapping, and give it back untouched."""
        if self._save_result and isinstance(result, Mapping):
            experiment = self._lifecycle.experiment
            try:
                experiment.add_final_metrics(result)
            except Exception as error:
                # Nobody asked for this in so many words, so it may not cost the result of a training.
                warn(f"{experiment.id}: the returned metrics could not be saved ({type(error).__name__}: {error})")
        return result


class _ActiveGenerator(Generator[Any, Any, Any]):
    """A generator whose code runs with its experiment as the current one."""

    def __init__(self, generator: Generator[Any, Any, Any], run: _Run) -> None:
        self._generator = generator
        self._run = run

    def send(self, value: Any) -> Any:
        with self._run.active():
            return self._generator.send(value)

    def throw(self, kind: Any, value: Any = None, trace: TracebackType | None = None) -> Any:  # noqa: ARG002
        with self._run.active():
            return self._generator.throw(kind if value is None else value)

    def close(self) -> None:
        with self._run.active():
            self._generator.close()


def _wrapper_for(function: Callable[..., Any], tracker: _Tracker) -> Any:
    # A standard-library context manager used as a decorator would close before a coroutine or a generator begins,
    # so each kind has its own wrapper.
    if inspect.isasyncgenfunction(function):

        async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
            with (run := tracker.start(args, kwargs)) as (own_args, own_kwargs):
                generator = function(*own_args, **own_kwargs)
                advance = generator.asend(None)
                while True:
                    try:
                        with run.active():
                            item = await advance
                    except StopAsyncIteration:
                        return
                    try:
                        advance = generator.asend((yield item))
                    except GeneratorExit:
                        with run.active():
                            await generator.aclose()
                        raise
                    except BaseException as error:
                        advance = generator.athrow(error)

    elif inspect.isgeneratorfunction(function):

        def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:  # type: ignore[misc]
            with (run := tracker.start(args, kwargs)) as (own_args, own_kwargs):
                return run.keep((yield from _ActiveGenerator(function(*own_args, **own_kwargs), run)))

    elif inspect.iscoroutinefunction(function):

        async def wrapper(*args: Any, **kwargs: Any) -> Any:  # type: ignore[misc]
            with (run := tracker.start(args, kwargs)) as (own_args, own_kwargs), run.active():
                return run.keep(await function(*own_args, **own_kwargs))

    else:

        def wrapper(*args: Any, **kwargs: Any) -> Any:  # type: ignore[misc]
            with (run := tracker.start(args, kwargs)) as (own_args, own_kwargs), run.active():
                return run.keep(function(*own_args, **own_kwargs))

    return wrapper
