"""The wrapper around a tracked function: the lifecycle around each call."""

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


_OWN: Final = TrackedOptions.__annotations__.keys() - ExperimentOptions.__annotations__.keys()


@attrs.frozen
class Options:
    """What was said to `tracked`; see there.

    Args:
        open_index: gives the index of the base directory, asked at each call.
        experiment: what is said of each experiment.
        config: the name of a parameter, or a config that is the same for each call.
        save_result: whether a returned mapping's numbers become the final metrics.
        skip_completed: whether a call that was completed before is not made again.
    """

    open_index: Callable[[], Index | None]
    experiment: ExperimentOptions = attrs.field(factory=ExperimentOptions)
    config: object = None
    save_result: bool = True
    skip_completed: bool = False


def decorated(function: Any, open_index: Callable[[], Index | None], given: Mapping[str, Any]) -> Any:
    """What `tracked` gives: the wrapped function, or a decorator where there is no function yet.

    Args:
        function: what is decorated; None where that comes later.
        open_index: gives the index of the base directory, asked at each call.
        given: what was said to `tracked`.

    Raises:
        TypeError: if something of it is no option.
        UsageError: as `wrap` does.
    """
    check_options(given, TrackedOptions)
    own = {name: given[name] for name in _OWN if name in given}
    said = {name: value for name, value in given.items() if name not in own}
    # Each call says them anew, and something that can be run through only once would be empty by then.
    said |= {"tags": as_tags(said.get("tags", ())), "hash_exclude": tuple(said.get("hash_exclude", ()))}
    options = Options(open_index=open_index, experiment=cast("ExperimentOptions", said), **own)
    return functools.partial(wrap, options=options) if function is None else wrap(function, options)


def wrap(function: Any, options: Options) -> Any:
    """A function whose every call is an experiment, of the same kind as `function`.

    Raises:
        UsageError: if it is no function, or lacks the parameter that is to be the config.
    """
    if isinstance(function, staticmethod | classmethod):
        return type(function)(wrap(function.__func__, options))
    if inspect.isclass(function) or not callable(function):
        hint = Hint("put it on a method, or use a block", None)
        raise errors.UsageError(f"@tracked goes on a function, not on {function!r}", hint)
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
        documentation = (inspect.getdoc(function) or "").partition("\n")[0] or None
        self._said = options.experiment.copy()
        self._said["name"] = self._said.get("name") or self._function_name.rpartition(".")[2]
        self._said["description"] = self._said.get("description") or documentation
        self._function = function
        self.binding = Binding(function, options.config if isinstance(options.config, str) else None)

    def start(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Run | None:
        """What is to be run; None when it was completed before and is to be skipped.

        Everything that can be wrong with a call is found here, before anything is made.
        """
        options = self._options
        binding, call = self._bound(args, kwargs)
        is_fixed = options.config is not None and not isinstance(options.config, str)
        what = make_plan(
            options.config if is_fixed else call.config,
            function=f"{self._module}.{self._function_name}",
            is_arguments=not is_fixed and call.config_parameter is None,
            **self._said,
        )
        index = options.open_index()
        if options.skip_completed and index is not None and self._is_completed(what, index):
            return None
        return _Run(binding, call, Lifecycle(what, index), is_fixed=is_fixed, save_result=options.save_result)

    def _bound(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Binding, BoundCall]:
        try:
            return self.binding, self.binding.bind(args, kwargs)
        except TypeError:
            if not hasattr(self._function, "__wrapped__"):
                raise
            # A decorator below this one shows the signature of what it wraps, and may supply arguments of its own.
            binding = Binding(self._function, follow_wrapped=False)
            return binding, binding.bind(args, kwargs)

    def _is_completed(self, what: Plan, index: Index) -> bool:
        before = resume.find_completed(what, index)
        if before is None:
            return False
        warn(
            f"{self._function_name}() is skipped: {before.experiment_id} has completed it with this config "
            f"in {index.layout.root}; its metrics are there"
        )
        return True


class _Run:
    """One call of a tracked function."""

    def __init__(
        self, binding: Binding, call: BoundCall, lifecycle: Lifecycle, *, is_fixed: bool, save_result: bool
    ) -> None:
        self._binding = binding
        self._call = call
        self._lifecycle = lifecycle
        self._is_fixed = is_fixed
        self._save_result = save_result
        self._inside: tuple[Lifecycle, ...] | None = None

    def __enter__(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        experiment = self._lifecycle.open()
        try:
            return self._binding.arguments_for(self._call, experiment, is_fixed=self._is_fixed)
        except BaseException as error:
            self._lifecycle.close(error)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lifecycle.close(error)

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """Make the experiment the current one while the function's own code runs.

        A generator's code runs between two `yield`s; a variable that stayed set meanwhile would be seen by its caller.
        """
        with activated(self._lifecycle, self._inside):
            try:
                yield
            finally:
                # A block that the code has opened and not yet left is its own as well.
                self._inside = open_stack()

    def keep(self, result: Any) -> Any:
        """Save the numbers of a returned mapping, and give it back untouched."""
        if self._save_result and isinstance(result, Mapping):
            recorder = self._lifecycle.recorder
            try:
                recorder.add_final_metrics(result)
            except Exception as error:
                # Nobody asked for this in so many words, so it may not cost the result of a training.
                warn(f"{recorder.id}: the returned metrics could not be saved ({type(error).__name__}: {error})")
        return result


class _ActiveGenerator(Generator[Any, Any, Any]):
    """A generator whose code runs with its experiment as the current one."""

    def __init__(self, generator: Generator[Any, Any, Any], run: _Run) -> None:
        self._generator = generator
        self._run = run

    def __next__(self) -> Any:
        # The inherited one would stand in each traceback.
        return self.send(None)

    def send(self, value: Any) -> Any:
        with self._run.active():
            return self._generator.send(value)

    def throw(self, kind: Any, value: Any = None, trace: TracebackType | None = None) -> Any:  # noqa: ARG002
        with self._run.active():
            return self._generator.throw(_thrown(kind, value))

    def close(self) -> None:
        with self._run.active():
            self._generator.close()


def _thrown(kind: Any, value: Any) -> BaseException:
    # The form with a class and a value is that of older programs: throw(ValueError, "text").
    if isinstance(kind, BaseException):
        return kind
    if isinstance(value, BaseException):
        return value
    error: BaseException = kind() if value is None else kind(value)
    return error


def _wrapper_for(function: Callable[..., Any], tracker: _Tracker) -> Any:
    # A standard-library context manager used as a decorator would close before a coroutine or a generator begins,
    # so each kind has its own wrapper.
    kinds = {
        inspect.isasyncgenfunction: _async_generator,
        inspect.isgeneratorfunction: _generator,
        inspect.iscoroutinefunction: _coroutine,
    }
    for is_kind, wrapper in kinds.items():
        # An object that can be called is of the kind of its method.
        if is_kind(function) or is_kind(cast("Any", getattr(function, "__call__", None))):  # noqa: B004 - not whether it has one
            return wrapper(function, tracker)
    return _plain(function, tracker)


def _plain(function: Callable[..., Any], tracker: _Tracker) -> Any:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        run = tracker.start(args, kwargs)
        if run is None:
            return None
        with run as (own_args, own_kwargs), run.active():
            return run.keep(function(*own_args, **own_kwargs))

    return wrapper


def _coroutine(function: Callable[..., Any], tracker: _Tracker) -> Any:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        run = tracker.start(args, kwargs)
        if run is None:
            return None
        with run as (own_args, own_kwargs), run.active():
            return run.keep(await function(*own_args, **own_kwargs))

    return wrapper


def _generator(function: Callable[..., Any], tracker: _Tracker) -> Any:
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        run = tracker.start(args, kwargs)
        if run is None:
            return None
        with run as (own_args, own_kwargs):
            return run.keep((yield from _ActiveGenerator(function(*own_args, **own_kwargs), run)))

    return wrapper


def _first_step(generator: AsyncGenerator[Any, Any]) -> Any:
    # An event loop that shuts down closes every generator that it has seen, in no order. It has seen the wrapper; if
    # it saw this one as well, each would be closed in the midst of the other.
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, None)
    try:
        return generator.asend(None)
    finally:
        sys.set_asyncgen_hooks(*hooks)


def _async_generator(function: Callable[..., Any], tracker: _Tracker) -> Any:
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        run = tracker.start(args, kwargs)
        if run is None:
            return
        with run as (own_args, own_kwargs):
            generator = function(*own_args, **own_kwargs)
            advance = _first_step(generator)
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

    return wrapper
