"""The wrapper around a tracked function, which runs the lifecycle around each call."""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any, Final, cast

import attrs

from runbook import errors
from runbook.api.arguments import Binding, BoundCall
from runbook.hints import Hint
from runbook.index import Index
from runbook.messages import warn
from runbook.run import resume
from runbook.run.experiment import as_tags
from runbook.run.lifecycle import Lifecycle, activated, open_stack
from runbook.run.plan import Plan, check_options, make_plan
from runbook.typing import ExperimentOptions, TrackedOptions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType


_TRACKED_ONLY: Final = TrackedOptions.__annotations__.keys() - ExperimentOptions.__annotations__.keys()


@attrs.frozen
class Options:
    """The options of `tracked`; see there.

    Args:
        open_index: returns the index of the base directory, or None if tracking is disabled; called at each call.
        experiment: the options of each experiment.
        config: the name of a parameter, or a config that is the same for each call.
        save_result: whether the numbers of a returned mapping become the final metrics.
        skip_completed: whether a call is skipped if an experiment with its config has completed before.
    """

    open_index: Callable[[], Index | None]
    experiment: ExperimentOptions = attrs.field(factory=ExperimentOptions)
    config: object = None
    save_result: bool = True
    skip_completed: bool = False


def decorate(function: Any, open_index: Callable[[], Index | None], given: Mapping[str, Any]) -> Any:
    """The wrapped function; a decorator if there is no function yet.

    Args:
        function: the function to decorate; None if `tracked` was called with parentheses.
        open_index: returns the index of the base directory, or None if tracking is disabled; called at each call.
        given: the options that were given to `tracked`.

    Raises:
        TypeError: for an unknown option.
        UsageError: as `wrap`.
    """
    check_options(given, TrackedOptions)
    own = {name: given[name] for name in _TRACKED_ONLY if name in given}
    of_experiment = {name: value for name, value in given.items() if name not in own}
    # Copied once: each call reads them, and an iterator would be empty after the first.
    of_experiment["tags"] = as_tags(of_experiment.get("tags", ()))
    of_experiment["hash_exclude"] = tuple(of_experiment.get("hash_exclude", ()))
    options = Options(open_index=open_index, experiment=cast("ExperimentOptions", of_experiment), **own)
    return functools.partial(wrap, options=options) if function is None else wrap(function, options)


def wrap(function: Any, options: Options) -> Any:
    """A function each call of which is an experiment; it is of the same kind as `function`.

    Raises:
        UsageError: if it is no function, or lacks the parameter that holds the config.
    """
    if isinstance(function, staticmethod | classmethod):
        return type(function)(wrap(function.__func__, options))
    if inspect.isclass(function) or not callable(function):
        hint = Hint("put it on a method, or use a block", None)
        raise errors.UsageError(f"@tracked goes on a function, not on {function!r}", hint)
    tracker = _Tracker(function, options)
    wrapper: Any = functools.update_wrapper(_make_wrapper(function, tracker), function)
    wrapper.__signature__ = tracker.binding.signature
    return wrapper


class _Tracker:
    """One tracked function: starts the experiment of each call."""

    def __init__(self, function: Callable[..., Any], options: Options) -> None:
        self._options = options
        self._function_name = getattr(function, "__qualname__", type(function).__qualname__)
        self._module = getattr(function, "__module__", None)
        documentation = (inspect.getdoc(function) or "").partition("\n")[0] or None
        self._experiment_options = given = options.experiment.copy()
        given["name"] = given.get("name") or self._function_name.rpartition(".")[2]
        given["description"] = given.get("description") or documentation
        self._function = function
        self.binding = Binding(function, options.config if isinstance(options.config, str) else None)

    def plan_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _TrackedCall | None:
        """A call that is ready to run; None if it is skipped because it was completed before.

        All arguments and options are checked here, before anything is written to disk.
        """
        options = self._options
        binding, bound = self._bind(args, kwargs)
        is_fixed = options.config is not None and not isinstance(options.config, str)
        plan = make_plan(
            options.config if is_fixed else bound.config,
            function=f"{self._module}.{self._function_name}",
            is_arguments=not is_fixed and bound.config_parameter is None,
            **self._experiment_options,
        )
        index = options.open_index()
        if options.skip_completed and index is not None and self._is_completed(plan, index):
            return None
        lifecycle = Lifecycle(plan, index)
        return _TrackedCall(binding, bound, lifecycle, is_fixed=is_fixed, save_result=options.save_result)

    def _bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Binding, BoundCall]:
        try:
            return self.binding, self.binding.bind(args, kwargs)
        except TypeError:
            if not hasattr(self._function, "__wrapped__"):
                raise
            # A decorator below this one has the signature of the function that it wraps, and may supply arguments.
            binding = Binding(self._function, follow_wrapped=False)
            return binding, binding.bind(args, kwargs)

    def _is_completed(self, plan: Plan, index: Index) -> bool:
        former = resume.find_completed(plan, index)
        if former is None:
            return False
        warn(
            f"{self._function_name}() is skipped: {former.experiment_id} has completed it with this config "
            f"in {index.layout.root}; its metrics are there"
        )
        return True


class _TrackedCall:
    """One call of a tracked function, as a block around the function itself."""

    def __init__(
        self, binding: Binding, bound: BoundCall, lifecycle: Lifecycle, *, is_fixed: bool, save_result: bool
    ) -> None:
        self._binding = binding
        self._bound = bound
        self._lifecycle = lifecycle
        self._is_fixed = is_fixed
        self._save_result = save_result
        self._inside: tuple[Lifecycle, ...] | None = None

    def __enter__(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        experiment = self._lifecycle.open()
        try:
            return self._binding.arguments_for(self._bound, experiment, is_fixed=self._is_fixed)
        except BaseException as error:
            self._lifecycle.close(error)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lifecycle.close(error)

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """A block in which the experiment is the current one, for the function's own code.

        A generator's code runs until its next `yield`. After that the caller's code runs, in which another experiment
        may be the current one.
        """
        with activated(self._lifecycle, self._inside):
            try:
                yield
            finally:
                # A generator may yield inside of a block: the experiment of that block is open in its code.
                self._inside = open_stack()

    def save_result(self, result: Any) -> Any:
        """Save the numbers of a returned mapping, and return the result unchanged."""
        if self._save_result and isinstance(result, Mapping):
            recorder = self._lifecycle.recorder
            try:
                recorder.add_final_metrics(result)
            except Exception as error:
                # The user did not ask for this explicitly, so an error here must not lose the result of a training.
                warn(f"{recorder.id}: the returned metrics could not be saved ({type(error).__name__}: {error})")
        return result


class _ActiveGenerator(Generator[Any, Any, Any]):
    """A generator whose code runs with its experiment as the current one."""

    def __init__(self, generator: Generator[Any, Any, Any], call: _TrackedCall) -> None:
        self._generator = generator
        self._call = call

    def __next__(self) -> Any:
        # The inherited method would add a frame to each traceback.
        return self.send(None)

    def send(self, value: Any) -> Any:
        with self._call.active():
            return self._generator.send(value)

    def throw(self, kind: Any, value: Any = None, trace: TracebackType | None = None) -> Any:  # noqa: ARG002
        with self._call.active():
            return self._generator.throw(_build_error(kind, value))

    def close(self) -> None:
        with self._call.active():
            self._generator.close()


def _build_error(kind: Any, value: Any) -> BaseException:
    # Older programs pass a class and a value: throw(ValueError, "text").
    if isinstance(kind, BaseException):
        return kind
    if isinstance(value, BaseException):
        return value
    error: BaseException = kind() if value is None else kind(value)
    return error


def _make_wrapper(function: Callable[..., Any], tracker: _Tracker) -> Any:
    # A context manager of the standard library, used as a decorator, would close before a coroutine or a generator
    # starts, so each kind has a wrapper of its own.
    kinds = {
        inspect.isasyncgenfunction: _wrap_async_generator,
        inspect.isgeneratorfunction: _wrap_generator,
        inspect.iscoroutinefunction: _wrap_coroutine,
    }
    for is_kind, wrap_kind in kinds.items():
        # A callable object is of the kind of its `__call__` method.
        if is_kind(function) or is_kind(cast("Any", getattr(function, "__call__", None))):  # noqa: B004 - not whether it has one
            return wrap_kind(function, tracker)
    return _wrap_plain(function, tracker)


def _wrap_plain(function: Callable[..., Any], tracker: _Tracker) -> Any:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        call = tracker.plan_call(args, kwargs)
        if call is None:
            return None
        with call as (own_args, own_kwargs), call.active():
            return call.save_result(function(*own_args, **own_kwargs))

    return wrapper


def _wrap_coroutine(function: Callable[..., Any], tracker: _Tracker) -> Any:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        call = tracker.plan_call(args, kwargs)
        if call is None:
            return None
        with call as (own_args, own_kwargs), call.active():
            return call.save_result(await function(*own_args, **own_kwargs))

    return wrapper


def _wrap_generator(function: Callable[..., Any], tracker: _Tracker) -> Any:
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        call = tracker.plan_call(args, kwargs)
        if call is None:
            return None
        with call as (own_args, own_kwargs):
            return call.save_result((yield from _ActiveGenerator(function(*own_args, **own_kwargs), call)))

    return wrapper


def _take_first_step(generator: AsyncGenerator[Any, Any]) -> Any:
    # An event loop that shuts down closes every generator that its hooks have registered, in any order. They have
    # registered the wrapper. If they registered this generator too, the loop would close one while the other closes it.
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, None)
    try:
        return generator.asend(None)
    finally:
        sys.set_asyncgen_hooks(*hooks)


def _wrap_async_generator(function: Callable[..., Any], tracker: _Tracker) -> Any:
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        call = tracker.plan_call(args, kwargs)
        if call is None:
            return
        with call as (own_args, own_kwargs):
            generator = function(*own_args, **own_kwargs)
            advance = _take_first_step(generator)
            while True:
                try:
                    with call.active():
                        item = await advance
                except StopAsyncIteration:
                    return
                try:
                    advance = generator.asend((yield item))
                except GeneratorExit:
                    with call.active():
                        await generator.aclose()
                    raise
                except BaseException as error:
                    advance = generator.athrow(error)

    return wrapper
