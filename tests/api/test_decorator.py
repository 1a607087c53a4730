"""The decorator: every call of every kind of function is an experiment, and nothing else about it changes."""

from __future__ import annotations

import abc
import asyncio
import collections
import functools
import gc
import inspect
import json
import pickle
import threading
import types

import pytest

from runbook import (
    EndReason,
    Experiment,
    ExperimentManager,
    Status,
    UsageError,
    current_experiment,
    experiment,
    tracked,
)
from runbook.read.view import record_of


class Kind:
    """One of the four kinds: makes a function of the kind with a given body, and runs one to its end."""

    def __init__(self, name):
        self.name = name

    def make(self, body, decorate):
        """A decorated function of this kind that calls `body(lr, exp)` in its midst."""
        if self.name == "plain":

            @decorate
            def train(lr: float, exp: Experiment, *, epochs: int = 3) -> object:
                """Train it.

                More about it.
                """
                return body(lr, exp)

        elif self.name == "coroutine":

            @decorate
            async def train(lr: float, exp: Experiment, *, epochs: int = 3) -> object:
                """Train it.

                More about it.
                """
                await asyncio.sleep(0)
                result = body(lr, exp)
                await asyncio.sleep(0)
                return result

        elif self.name == "generator":

            @decorate
            def train(lr: float, exp: Experiment, *, epochs: int = 3) -> object:
                """Train it.

                More about it.
                """
                yield 1
                result = body(lr, exp)
                yield 2
                return result

        else:

            @decorate
            async def train(lr: float, exp: Experiment, *, epochs: int = 3) -> object:
                """Train it.

                More about it.
                """
                yield 1
                await asyncio.sleep(0)
                result = body(lr, exp)
                yield result

        return train

    def run(self, call):
        """Run what a call gave to its end, and give its result."""
        if self.name == "plain":
            return call
        if self.name == "coroutine":
            return asyncio.run(_awaited(call))
        if self.name == "generator":
            items = []
            result = yield_from(call, items)
            assert items == [1, 2]
            return result
        items = asyncio.run(_collected(call))
        assert items[0] == 1
        return items[-1]


async def _awaited(call):
    return await call


async def _collected(call):
    return [item async for item in call]


def yield_from(generator, items):
    while True:
        try:
            items.append(next(generator))
        except StopIteration as stop:
            return stop.value


KINDS = [Kind(name) for name in ("plain", "coroutine", "generator", "async generator")]
PREDICATES = {
    "plain": inspect.isfunction,
    "coroutine": inspect.iscoroutinefunction,
    "generator": inspect.isgeneratorfunction,
    "async generator": inspect.isasyncgenfunction,
}
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


def last(base):
    return ExperimentManager(base).list_experiments()[-1]


# --- what holds for all four kinds -----------------------------------------------------------------------------------


@every_kind
def test_a_call_is_an_experiment(base, kind):
    """Named after the function, described by its documentation, with the arguments as its config."""
    train = kind.make(lambda lr, exp: ("result", lr, exp.status), tracked(base_dir=base))
    assert kind.run(train(0.1)) == ("result", 0.1, "running")
    entry = last(base)
    assert (entry["custom_name"], entry["description"]) == ("train", "Train it.")
    assert entry["config"] == {"lr": 0.1, "epochs": 3}
    assert (entry["status"], entry["end_reason"]) == ("completed", "returned")
    record = record_of(ExperimentManager(base).get_experiment("train"))
    assert record.function == f"{__name__}.Kind.make.<locals>.train"


@pytest.mark.slow
@every_kind
def test_nothing_happens_before_the_code_runs(base, kind):
    """Decorating makes nothing, and neither does a generator or coroutine that is never run."""
    train = kind.make(lambda lr, exp: None, tracked(base_dir=base))
    if kind.name == "plain":
        assert not base.exists()
        return
    call = train(0.1)
    if hasattr(call, "close"):
        call.close()
    del call
    gc.collect()
    assert not base.exists()


@every_kind
def test_the_result_is_returned_untouched(base, kind):
    """The same object, unchanged, whatever it is."""
    result = {"f1": 0.9, "model": object(), "nested": {"auc": float("nan")}}
    copy = dict(result)
    train = kind.make(lambda lr, exp: result, tracked(base_dir=base))
    assert kind.run(train(0.1)) is result
    assert result == copy


@every_kind
def test_the_exception_comes_out_as_it_went_in(base, kind):
    """The same object; the record has its type, message and traceback, without our own frames."""
    error = ValueError("bad loss")

    def body(lr, exp):
        raise error

    train = kind.make(body, tracked(base_dir=base))
    with pytest.raises(ValueError) as caught:
        kind.run(train(0.1))
    assert caught.value is error
    assert error.__cause__ is None
    record = record_of(ExperimentManager(base).get_experiment("train"))
    assert (record.status, record.end_reason) == (Status.FAILED, EndReason.EXCEPTION)
    assert (record.failure.type, record.failure.message) == ("ValueError", "bad loss")
    assert "raise error" in record.failure.traceback
    assert current_experiment() is None


@every_kind
@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (SystemExit(0), "completed", "exit"),
        (SystemExit(None), "completed", "exit"),
        (SystemExit(3), "failed", "exit"),
        (SystemExit("text"), "failed", "exit"),
        (SystemExit(143), "interrupted", "sigterm"),
        (KeyboardInterrupt(), "interrupted", "keyboard"),
    ],
    ids=["exit0", "exit", "exit3", "exit-text", "exit143", "ctrl-c"],
)
def test_every_ending_is_the_true_one(base, kind, error, status, reason):
    """Each kind classifies like the block."""

    def body(lr, exp):
        raise error

    train = kind.make(body, tracked(base_dir=base))
    with pytest.raises(type(error)) as caught:
        kind.run(train(0.1))
    assert caught.value is error
    assert (last(base)["status"], last(base)["end_reason"]) == (status, reason)


@every_kind
def test_the_current_experiment_is_the_one_that_is_injected(base, kind):
    """Inside it is current, outside it is not."""
    train = kind.make(lambda lr, exp: current_experiment() is exp, tracked(base_dir=base))
    assert kind.run(train(0.1)) is True
    assert current_experiment() is None


@every_kind
def test_calls_nest(base, kind):
    """An experiment that is started inside knows its parent."""
    children = []

    def body(lr, exp):
        with experiment({"inner": True}, base_dir=base) as inner:
            children.append((inner.parent, exp.id))

    kind.run(kind.make(body, tracked(base_dir=base))(0.1))
    ((parent, own),) = children
    assert parent == own


@every_kind
def test_a_status_set_by_hand_is_kept(base, kind):
    """The status that the function gave to `finish` counts, not how it returned."""
    train = kind.make(lambda lr, exp: exp.finish("failed", "diverged"), tracked(base_dir=base))
    kind.run(train(0.1))
    assert (last(base)["status"], last(base)["end_reason"], last(base)["notes"]) == ("failed", "marked", "diverged")


@every_kind
def test_name_documentation_and_kind_survive(base, kind):
    """As with `functools.wraps`; `inspect` sees the same kind of function."""
    bare = kind.make(None, lambda function: function)
    train = kind.make(None, tracked(base_dir=base))
    for attribute in ("__name__", "__qualname__", "__doc__", "__module__"):
        assert getattr(train, attribute) == getattr(bare, attribute)
    assert train.__wrapped__.__code__ is bare.__code__
    for name, predicate in PREDICATES.items():
        if name != "plain":
            assert predicate(train) is (name == kind.name)
    assert inspect.isfunction(train)


@every_kind
def test_the_signature_is_what_callers_must_pass(base, kind):
    """Without the experiment, with everything else."""
    train = kind.make(None, tracked(base_dir=base))
    assert str(inspect.signature(train)) in {
        "(lr: 'float', *, epochs: 'int' = 3) -> 'object'",
        "(lr: float, *, epochs: int = 3) -> object",
    }


@every_kind
def test_with_and_without_parentheses(base, kind, monkeypatch):
    """Both spellings, and the manager's two."""
    monkeypatch.setenv("RUNBOOK_DIR", str(base))
    manager = ExperimentManager(base)
    for decorate in (tracked, tracked(), manager.tracked, manager.tracked()):
        assert kind.run(kind.make(lambda lr, exp: lr, decorate)(0.5)) == 0.5
    assert [entry["status"] for entry in manager.list_experiments()] == ["completed"] * 4


@every_kind
def test_every_option_reaches_the_experiment(base, kind):
    """Name, description, tags, a fixed config and what the hash leaves out; on a manager of one's own as well."""
    options = {"name": "mine", "description": "why", "tags": ["a", "b"], "config": {"x": 1}, "hash_exclude": ["x"]}
    for decorate in (tracked(base_dir=base, **options), ExperimentManager(base).tracked(**options)):
        kind.run(kind.make(lambda lr, exp: None, decorate)(0.1))
    one, two = ExperimentManager(base).list_experiments()
    for entry in (one, two):
        assert (entry["custom_name"], entry["description"], entry["tags"]) == ("mine", "why", ["a", "b"])
        assert entry["config"] == {"x": 1}
    assert one["experiment_id"][-8:] == two["experiment_id"][-8:]


@pytest.mark.parametrize("option", ["nmae", "save_results"])
def test_an_unknown_option_is_named(base, option):
    """A misspelt option is an error when the function is decorated."""
    with pytest.raises(TypeError, match=option):
        tracked(**{option: 1})
    with pytest.raises(TypeError, match=option):
        ExperimentManager(base).tracked(**{option: 1})(lambda: None)


@pytest.mark.parametrize("thing", ["baseline", 3, {"lr": 0.1}, property(lambda self: 1)])
def test_what_is_no_function_is_refused(thing):
    """`@tracked("name")` is a likely mistake; the message shows how to use the decorator."""
    with pytest.raises(UsageError, match="goes on a function"):
        tracked(thing)


def test_a_class_is_refused():
    """Tracking a class would track its construction, which nobody means."""
    with pytest.raises(UsageError, match="put it on a method"):

        @tracked
        class Trainer:
            """Never made."""


# --- results ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["plain", "coroutine", "generator"])
@pytest.mark.parametrize(
    ("result", "metrics"),
    [
        ({"f1": 0.9, "model": "bert", "ok": True}, {"f1": 0.9, "ok": True}),
        ({"val": {"f1": 0.9, "deep": {"auc": 1}}}, {"val.f1": 0.9, "val.deep.auc": 1}),
        (types.MappingProxyType({"f1": 1}), {"f1": 1}),
        (collections.OrderedDict(f1=2), {"f1": 2}),
        ({}, {}),
        ({"curve": [1, 2]}, {}),
        ([("f1", 0.9)], {}),
        (0.9, {}),
        ("text", {}),
        (None, {}),
    ],
    ids=repr,
)
def test_a_returned_mappings_numbers_are_the_final_metrics(base, name, result, metrics):
    """Nested ones dotted; other results are not metrics."""
    kind = next(kind for kind in KINDS if kind.name == name)
    kind.run(kind.make(lambda lr, exp: result, tracked(base_dir=base))(0.1))
    assert last(base)["metrics"] == metrics
    summary = base / last(base)["experiment_id"] / "metrics" / "final_summary.json"
    assert (json.loads(summary.read_text()) if summary.exists() else {}) == metrics


def test_returned_non_finite_numbers_come_back_as_floats(base):
    """A loss that is NaN is recorded as NaN."""
    tracked(base_dir=base)(lambda lr: {"nan": float("nan"), "inf": float("-inf")})(0.1)
    metrics = last(base)["metrics"]
    assert metrics["nan"] != metrics["nan"]
    assert metrics["inf"] == float("-inf")


def test_returned_numpy_scalars_are_numbers(base):
    """What scikit-learn returns is NumPy."""
    np = pytest.importorskip("numpy")
    tracked(base_dir=base)(lambda lr: {"f1": np.float32(0.5), "n": np.int64(3), "one": np.array([0.25])})(0.1)
    assert last(base)["metrics"] == {"f1": 0.5, "n": 3, "one": 0.25}


@pytest.mark.parametrize("decorate", ["tracked", "manager"])
def test_saving_the_result_can_be_turned_off(base, decorate):
    """`save_result=False` leaves the final metrics to the function."""
    manager = ExperimentManager(base)
    options = {"save_result": False}
    decorator = tracked(base_dir=base, **options) if decorate == "tracked" else manager.tracked(**options)
    assert decorator(lambda lr: {"f1": 0.9})(0.1) == {"f1": 0.9}
    assert last(base)["metrics"] == {}
    assert not (base / last(base)["experiment_id"] / "metrics" / "final_summary.json").exists()


def test_metrics_saved_by_hand_go_before_returned_ones(base):
    """What the function saved itself stays; what it returned besides is added."""

    @tracked(base_dir=base)
    def train(lr, exp):
        exp.save_final_metrics({"f1": 0.5, "val": {"auc": 0.6}})
        return {"f1": 0.9, "recall": 0.7}

    train(0.1)
    assert last(base)["metrics"] == {"f1": 0.5, "val.auc": 0.6, "recall": 0.7}


def test_returned_metrics_count_after_a_status_set_by_hand(base):
    """The numbers of the result are saved after `exp.finish()`, too."""

    @tracked(base_dir=base)
    def train(lr, exp):
        exp.finish("completed", notes="early stop")
        return {"f1": 0.9}

    train(0.1)
    assert last(base)["metrics"] == {"f1": 0.9}


def test_a_result_that_cannot_be_saved_is_returned_all_the_same(base, caplog):
    """The user did not ask for it explicitly, so an error is only a warning."""

    class Odd(dict):
        def items(self):
            raise RuntimeError("spoilt")

        def keys(self):
            raise RuntimeError("spoilt")

    result = Odd(f1=0.9)
    assert tracked(base_dir=base)(lambda lr: result)(0.1) is result
    assert last(base)["status"] == "completed"


def test_a_full_summary_that_is_damaged_does_not_cost_the_result(base, caplog):
    """Metrics cannot be merged with a file that cannot be read; the result is returned with a warning."""

    @tracked(base_dir=base)
    def train(lr, exp):
        (exp.metrics_dir / "final_summary.json").write_text("{not json")
        return {"f1": 0.9}

    assert train(0.1) == {"f1": 0.9}
    assert last(base)["status"] == "completed"
    assert "could not be saved" in caplog.text


# --- methods ---------------------------------------------------------------------------------------------------------


def test_methods_static_and_class_methods(base):
    """On top of the decorator of the class or below it, called on the class or on an instance."""

    class Trainer:
        @tracked(base_dir=base)
        def method(self, lr, exp):
            return self, lr, exp.name

        @tracked(base_dir=base)
        @staticmethod
        def static_below(lr, exp):
            return lr, exp.name

        @staticmethod
        @tracked(base_dir=base)
        def static_above(lr, exp):
            return lr, exp.name

        @tracked(base_dir=base)
        @classmethod
        def class_below(cls, lr, exp):
            return cls, lr, exp.name

        @classmethod
        @tracked(base_dir=base)
        def class_above(cls, lr, exp):
            return cls, lr, exp.name

    trainer = Trainer()
    assert trainer.method(1) == (trainer, 1, "method")
    assert Trainer.method(trainer, 1) == (trainer, 1, "method")
    for owner in (Trainer, trainer):
        assert owner.static_below(2) == (2, "static_below")
        assert owner.static_above(2) == (2, "static_above")
        assert owner.class_below(3) == (Trainer, 3, "class_below")
        assert owner.class_above(3) == (Trainer, 3, "class_above")
    for entry in ExperimentManager(base).list_experiments():
        assert set(entry["config"]) == {"lr"}


def test_methods_of_the_other_kinds(base):
    """Coroutine, generator and async generator methods."""

    class Trainer:
        @tracked(base_dir=base)
        async def coroutine(self, lr):
            await asyncio.sleep(0)
            return self, lr

        @tracked(base_dir=base)
        def generator(self, lr):
            yield self, lr

        @tracked(base_dir=base)
        @classmethod
        async def async_generator(cls, lr):
            yield cls, lr

    trainer = Trainer()
    assert asyncio.run(trainer.coroutine(1)) == (trainer, 1)
    assert list(trainer.generator(1)) == [(trainer, 1)]
    assert asyncio.run(_collected(Trainer.async_generator(1))) == [(Trainer, 1)]


def test_methods_are_inherited_overridden_and_reached_by_super(base):
    """Both ends of a `super()` call are experiments, the inner one a child of the outer one."""

    class Base:
        @tracked(base_dir=base)
        def fit(self, lr):
            return ["base", lr]

    class Derived(Base):
        @tracked(base_dir=base)
        def fit(self, lr):
            return ["derived", *super().fit(lr)]

    assert Derived().fit(1) == ["derived", "base", 1]
    outer, inner = ExperimentManager(base).list_experiments()
    assert inner["parent"] == outer["experiment_id"]


def test_an_abstract_method_stays_abstract(base):
    """The mark of `abc` survives."""

    class Trainer(abc.ABC):
        @tracked(base_dir=base)
        @abc.abstractmethod
        def fit(self, lr):
            """Train."""

    with pytest.raises(TypeError, match="abstract"):
        Trainer()


def test_attributes_of_the_function_survive(base):
    """Attributes that other code has set are still there."""

    def train(lr):
        return lr

    train.marker = [1]
    assert tracked(base_dir=base)(train).marker is train.marker


@pytest.mark.parametrize("make", ["partial", "bound", "callable", "lambda", "builtin"])
def test_other_callables(base, make):
    """Partials, bound methods, objects with `__call__`, lambdas and builtins can be wrapped by hand."""

    class Model:
        def __call__(self, x):
            return x + 1

        def method(self, x):
            return x + 1

    callables = {
        "partial": functools.partial(lambda y, x: x + y, 1),
        "bound": Model().method,
        "callable": Model(),
        "lambda": lambda x: x + 1,
        "builtin": (1).__add__,
    }
    assert tracked(base_dir=base)(callables[make])(2) == 3
    assert last(base)["status"] == "completed"


def test_an_object_whose_call_is_a_coroutine_is_tracked_to_its_end(base):
    """The experiment ends with the coroutine, not when it is made: a failure is no completion."""

    class Model:
        async def __call__(self, x):
            await asyncio.sleep(0)
            raise ValueError("diverged")

    with pytest.raises(ValueError, match="diverged"):
        asyncio.run(_awaited(tracked(base_dir=base)(Model())(1)))
    assert last(base)["status"] == "failed"


def test_a_partial_of_a_coroutine_function_is_a_coroutine_function(base):
    """`functools.partial` keeps the kind, and so do we."""

    async def train(lr, epochs):
        await asyncio.sleep(0)
        return lr, epochs, current_experiment() is not None

    wrapped = tracked(base_dir=base)(functools.partial(train, 0.1))
    assert asyncio.run(_awaited(wrapped(3))) == (0.1, 3, True)


def test_a_decorator_below_that_supplies_an_argument_still_works(base):
    """`functools.wraps` leaves a signature that callers do not follow; the call is to be passed on as it is."""

    def with_model(function):
        @functools.wraps(function)
        def inner(*args, **kwargs):
            return function("model", *args, **kwargs)

        return inner

    @tracked(base_dir=base)
    @with_model
    def train(model, lr):
        return model, lr

    assert train(lr=0.1) == ("model", 0.1)
    assert last(base)["status"] == "completed"


def test_tracked_twice_is_two_experiments(base):
    """Each call is an experiment inside of another one."""
    train = tracked(name="outer", base_dir=base)(tracked(name="inner", base_dir=base)(lambda lr: lr))
    assert train(1) == 1
    outer, inner = ExperimentManager(base).list_experiments()
    assert (outer["custom_name"], inner["custom_name"], inner["parent"]) == ("outer", "inner", outer["experiment_id"])


def test_a_recursive_function_is_a_chain_of_experiments(base):
    """Each call is an experiment whose parent is the call around it."""

    @tracked(base_dir=base)
    def count(n):
        return [current_experiment().id, *(count(n - 1) if n else [])]

    chain = count(2)
    parents = {entry["experiment_id"]: entry["parent"] for entry in ExperimentManager(base).list_experiments()}
    assert [parents[one] for one in chain] == [None, *chain[:-1]]


def test_calls_in_threads_at_once_are_apart(base):
    """Sixteen threads, sixteen folders, each with its own result."""

    @tracked(base_dir=base)
    def train(lr, exp):
        gate.wait(30)
        assert current_experiment() is exp
        exp.log(lr=lr)
        return {"lr": lr}

    gate = threading.Barrier(16)
    threads = [threading.Thread(target=train, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    entries = ExperimentManager(base).list_experiments()
    assert len({entry["experiment_id"] for entry in entries}) == 16
    assert all(entry["config"]["lr"] == entry["metrics"]["lr"] for entry in entries)
    assert {entry["status"] for entry in entries} == {"completed"}


# --- coroutines ------------------------------------------------------------------------------------------------------


def test_coroutines_at_once_are_apart(base):
    """Tasks that interleave each see their own."""

    @tracked(base_dir=base)
    async def train(lr, exp):
        for step in range(3):
            await asyncio.sleep(0)
            assert current_experiment() is exp
            exp.log(lr=lr, step=step)
        return {"lr": lr}

    async def main():
        await asyncio.gather(*(train(n) for n in range(8)))
        assert current_experiment() is None

    asyncio.run(main())
    entries = ExperimentManager(base).list_experiments()
    assert sorted(entry["metrics"]["lr"] for entry in entries) == list(range(8))
    assert all(entry["parent"] is None for entry in entries)


def test_a_cancelled_coroutine_is_interrupted(base):
    """And its own handling of the cancellation runs."""
    seen = []

    @tracked(base_dir=base)
    async def train(lr, exp):
        try:
            started.set()
            await asyncio.Event().wait()
        finally:
            seen.append(current_experiment() is exp)

    async def main():
        task = asyncio.create_task(train(0.1))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    started = asyncio.Event()
    asyncio.run(main())
    assert seen == [True]
    assert (last(base)["status"], last(base)["end_reason"]) == ("interrupted", "cancelled")


def test_a_failing_sibling_in_a_task_group_cancels(base):
    """One failed, the other interrupted, and the group's exception is as without us."""

    @tracked(base_dir=base)
    async def fail(x):
        await asyncio.sleep(0)
        raise ValueError("one")

    @tracked(base_dir=base)
    async def wait(x):
        await asyncio.Event().wait()

    async def main():
        async with asyncio.TaskGroup() as group:
            group.create_task(wait(1))
            group.create_task(fail(1))

    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(main())
    assert [str(error) for error in caught.value.exceptions] == ["one"]
    statuses = {entry["custom_name"]: entry["end_reason"] for entry in ExperimentManager(base).list_experiments()}
    assert statuses == {"fail": "exception", "wait": "cancelled"}


def test_a_coroutine_that_swallows_its_cancellation_completes(base):
    """Whoever handles it decides."""

    @tracked(base_dir=base)
    async def train(lr):
        try:
            started.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return {"partial": 1}

    async def main():
        task = asyncio.create_task(train(0.1))
        await started.wait()
        task.cancel()
        return await task

    started = asyncio.Event()
    assert asyncio.run(main()) == {"partial": 1}
    assert (last(base)["status"], last(base)["metrics"]) == ("completed", {"partial": 1})


# --- generators ------------------------------------------------------------------------------------------------------


def epochs(base):
    @tracked(base_dir=base)
    def train(lr, exp):
        got = []
        try:
            for n in range(3):
                assert current_experiment() is exp
                got.append((yield n))
                assert current_experiment() is exp
        except ValueError as error:
            assert current_experiment() is exp
            got.append(str(error))
            yield "handled"
        finally:
            got.append(current_experiment() is exp)
            seen.append(got)
        return {"steps": len(got)}

    seen = []
    return train, seen


def test_a_generator_runs_while_it_is_run_through(base):
    """It begins with the first step, runs between steps, and ends with the last."""
    train, _ = epochs(base)
    steps = train(0.1)
    assert not base.exists()
    assert next(steps) == 0
    assert last(base)["status"] == "running"
    assert list(steps) == [1, 2]
    assert last(base)["status"] == "completed"


def test_the_caller_of_a_generator_does_not_see_its_experiment(base):
    """Between two steps the caller's own experiment is the current one."""
    train, _ = epochs(base)
    with experiment({"outer": 1}, base_dir=base) as outer:
        for _ in train(0.1):
            assert current_experiment() is outer
        assert current_experiment() is outer
    for _ in train(0.1):
        assert current_experiment() is None


def test_a_block_inside_a_generator_does_not_leak_to_the_caller_either(base):
    """An experiment that the generator holds open across a step is the generator's alone."""

    @tracked(base_dir=base)
    def train(lr):
        with experiment({"fold": 1}, base_dir=base) as inner:
            yield 1
            assert current_experiment() is inner
        yield 2

    steps = train(0.1)
    next(steps)
    seen = current_experiment()
    if seen is None:
        assert list(steps) == [2]
    steps.close()
    assert seen is None


def test_generators_that_interleave_are_apart(base):
    """Two runs, stepped in turn, each log into their own."""

    @tracked(base_dir=base)
    def train(lr):
        for _ in range(3):
            current_experiment().log(lr=lr)
            yield

    for _ in zip(train(1), train(2), strict=True):
        assert current_experiment() is None
    manager = ExperimentManager(base)
    assert {entry["status"] for entry in manager.list_experiments()} == {"completed"}
    for entry in manager.list_experiments():
        lr = entry["config"]["lr"]
        assert manager.get_experiment(entry["experiment_id"]).history()["lr"] == [lr] * 3


def test_send_reaches_a_generator(base):
    """Values go in as they would."""
    train, seen = epochs(base)
    steps = train(0.1)
    next(steps)
    assert [steps.send("a"), steps.send("b")] == [1, 2]
    with pytest.raises(StopIteration) as stop:
        steps.send("c")
    assert stop.value.value == {"steps": 4}
    assert seen == [["a", "b", "c", True]]
    assert last(base)["metrics"] == {"steps": 4}


@pytest.mark.filterwarnings("ignore:the .*signature of throw:DeprecationWarning")
@pytest.mark.parametrize("args", [(ValueError("x"),), (ValueError, "x"), (ValueError, ValueError("x"), None)])
def test_throw_reaches_a_generator_in_every_spelling(base, args):
    """As an instance, and as type and value."""
    train, seen = epochs(base)
    steps = train(0.1)
    next(steps)
    assert steps.throw(*args) == "handled"
    assert list(steps) == []
    assert seen == [["x", True]]
    assert last(base)["status"] == "completed"


def test_throw_that_a_generator_does_not_handle_fails_it(base):
    """The same exception comes out."""
    train, _ = epochs(base)
    steps = train(0.1)
    next(steps)
    error = KeyError("x")
    with pytest.raises(KeyError) as caught:
        steps.throw(error)
    assert caught.value is error
    assert (last(base)["status"], last(base)["end_reason"]) == ("failed", "exception")


@pytest.mark.slow
@pytest.mark.parametrize("how", ["close", "del", "break"])
def test_a_generator_that_is_closed_is_interrupted(base, how):
    """By name, by losing the last reference, or by leaving the loop; its `finally` runs with its experiment."""
    train, seen = epochs(base)
    if how == "break":
        for _ in train(0.1):
            break
    else:
        steps = train(0.1)
        next(steps)
        if how == "close":
            steps.close()
        del steps
    gc.collect()
    assert seen == [[True]]
    assert (last(base)["status"], last(base)["end_reason"]) == ("interrupted", "closed")
    assert current_experiment() is None


def test_a_generator_that_refuses_to_close_says_so_as_ever(base):
    """RuntimeError, and a failed experiment."""

    @tracked(base_dir=base)
    def train(lr):
        while True:
            try:
                yield 1
            except GeneratorExit:
                yield 2
                return

    steps = train(0.1)
    next(steps)
    with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
        steps.close()
    assert last(base)["status"] == "failed"


def test_a_stop_iteration_inside_a_generator_is_a_runtime_error_as_ever(base):
    """PEP 479 holds through the wrapper."""

    @tracked(base_dir=base)
    def train(lr):
        yield 1
        raise StopIteration(5)

    with pytest.raises(RuntimeError, match="generator raised StopIteration"):
        list(train(0.1))
    assert last(base)["status"] == "failed"


def test_a_generator_can_be_delegated_to(base):
    """`yield from` gives its result."""
    train, _ = epochs(base)

    def outer():
        return (yield from train(0.1))

    items = []
    assert yield_from(outer(), items) == {"steps": 4}
    assert items == [0, 1, 2]


def test_a_generator_may_be_run_by_another_thread_than_it_was_begun_by(base):
    """A prefetching loader does that; the experiment is current wherever the code runs."""
    train, seen = epochs(base)
    steps = train(0.1)
    next(steps)
    results = []
    thread = threading.Thread(target=lambda: results.append(list(steps)))
    thread.start()
    thread.join()
    assert results == [[1, 2]]
    assert seen == [[None, None, None, True]]
    assert last(base)["status"] == "completed"


# --- async generators ------------------------------------------------------------------------------------------------


def async_epochs(base, seen):
    @tracked(base_dir=base)
    async def train(lr, exp):
        got = []
        try:
            for n in range(3):
                assert current_experiment() is exp
                got.append((yield n))
                await asyncio.sleep(0)
                assert current_experiment() is exp
        except ValueError as error:
            got.append(str(error))
            yield "handled"
        finally:
            await asyncio.sleep(0)
            got.append(current_experiment() is exp)
            seen.append(got)

    return train


def test_an_async_generator_runs_while_it_is_run_through(base):
    """And its caller does not see its experiment between two steps."""

    async def main():
        items = []
        with experiment({"outer": 1}, base_dir=base) as outer:
            async for item in async_epochs(base, seen)(0.1):
                items.append(item)
                assert current_experiment() is outer
        return items

    seen = []
    assert asyncio.run(main()) == [0, 1, 2]
    assert seen == [[None, None, None, True]]
    assert {entry["status"] for entry in ExperimentManager(base).list_experiments()} == {"completed"}


def test_asend_and_athrow_reach_an_async_generator(base):
    """Values and exceptions go in as they would."""

    async def main():
        steps = async_epochs(base, seen)(0.1)
        assert await anext(steps) == 0
        assert await steps.asend("a") == 1
        assert await steps.athrow(ValueError("x")) == "handled"
        with pytest.raises(StopAsyncIteration):
            await anext(steps)

    seen = []
    asyncio.run(main())
    assert seen == [["a", "x", True]]
    assert last(base)["status"] == "completed"


def test_an_async_generator_that_is_closed_is_interrupted(base):
    """Its `finally` is awaited, with its experiment."""

    async def main():
        steps = async_epochs(base, seen)(0.1)
        await anext(steps)
        await steps.aclose()

    seen = []
    asyncio.run(main())
    assert seen == [[True]]
    assert (last(base)["status"], last(base)["end_reason"]) == ("interrupted", "closed")


def test_an_exception_inside_an_async_generator_fails_it(base):
    """The same exception comes out, thrown in or raised inside."""
    error = KeyError("x")

    async def main():
        steps = async_epochs(base, [])(0.1)
        await anext(steps)
        await steps.athrow(error)

    with pytest.raises(KeyError) as caught:
        asyncio.run(main())
    assert caught.value is error
    assert (last(base)["status"], last(base)["end_reason"]) == ("failed", "exception")


def test_an_async_generator_that_is_cancelled_inside_is_interrupted(base):
    """The task is cancelled while the generator's own code awaits."""

    @tracked(base_dir=base)
    async def train(lr):
        yield 1
        started.set()
        await asyncio.Event().wait()

    async def consume():
        return [item async for item in train(0.1)]

    async def main():
        task = asyncio.create_task(consume())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    started = asyncio.Event()
    asyncio.run(main())
    assert (last(base)["status"], last(base)["end_reason"]) == ("interrupted", "cancelled")


@pytest.mark.parametrize("when", ["at once", "at the end"])
def test_an_async_generator_that_is_left_behind_is_closed_by_the_loop(base, when):
    """As without us: its `finally` is awaited, with its experiment, and nothing is reported as broken."""
    problems, keep, seen = [], [], []

    async def main():
        asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
        steps = async_epochs(base, seen)(0.1)
        await anext(steps)
        if when == "at the end":
            keep.append(steps)
        del steps
        for _ in range(20):
            await asyncio.sleep(0)

    asyncio.run(main())
    assert problems == []
    assert seen == [[True]]
    assert (last(base)["status"], last(base)["end_reason"]) == ("interrupted", "closed")


def test_async_generators_in_tasks_at_once_are_apart(base):
    """Each is its own experiment, whatever the order of the steps."""

    @tracked(base_dir=base)
    async def train(lr):
        for _ in range(3):
            await asyncio.sleep(0)
            current_experiment().log(lr=lr)
            yield lr

    async def main():
        return await asyncio.gather(*(_collected(train(n)) for n in range(4)))

    assert asyncio.run(main()) == [[n] * 3 for n in range(4)]
    manager = ExperimentManager(base)
    for entry in manager.list_experiments():
        lr = entry["config"]["lr"]
        assert manager.get_experiment(entry["experiment_id"]).history()["lr"] == [lr] * 3


# --- other processes -------------------------------------------------------------------------------------------------


@tracked
def module_level(lr, exp):
    """Something that pickle finds by its name."""
    return exp.id


class Holder:
    """Its method is found by name as well."""

    @tracked
    def method(self, lr):
        return lr


def test_pickle_finds_a_tracked_function_by_its_name():
    """The wrapper stands where the function stood."""
    assert pickle.loads(pickle.dumps(module_level)) is module_level
    bound = pickle.loads(pickle.dumps(Holder().method))
    assert isinstance(bound.__self__, Holder)
    assert bound.__func__ is Holder.__dict__["method"]


def test_cloudpickle_takes_a_tracked_function_by_value(base):
    """joblib and Ray send functions of a notebook that way; decorated by a manager, too."""
    cloudpickle = pytest.importorskip("cloudpickle")
    for decorate in (tracked(base_dir=base), ExperimentManager(base).tracked):

        def train(lr, exp):
            return lr, exp.status

        copy = pickle.loads(cloudpickle.dumps(decorate(train)))
        assert copy(0.1) == (0.1, "running")
    assert [entry["status"] for entry in ExperimentManager(base).list_experiments()] == ["completed"] * 2


def test_a_manager_can_be_sent_to_a_worker(manager):
    """It becomes a manager of the same directory, without what this process has running."""
    manager.create_experiment({"lr": 0.1})
    copy = pickle.loads(pickle.dumps(manager))
    assert copy.base_dir == manager.base_dir
    assert [entry["status"] for entry in copy.list_experiments()] == ["running"]
    manager.mark_complete()
    with pytest.raises(RuntimeError, match="no experiment is active"):
        pickle.loads(pickle.dumps(ExperimentManager(manager.base_dir / "other"))).mark_complete()


WORKERS = """
import sys
from runbook import tracked

@tracked(tags=["sweep"])
def train(lr, exp):
    exp.log(lr=lr)
    if lr == 3:
        raise ValueError("diverged")
    return {"lr": lr}

def attempt(lr):
    try:
        return train(lr)["lr"]
    except ValueError:
        return "failed"

def main(way):
    numbers = [1, 2, 3, 4]
    if way in ("fork", "spawn", "forkserver"):
        import multiprocessing
        with multiprocessing.get_context(way).Pool(2) as pool:
            results = pool.map(attempt, numbers)
            assert pool.apply(train, (5,)) == {"lr": 5}
            pool.close()
            pool.join()
    elif way in ("threads", "processes"):
        from concurrent import futures
        make = futures.ThreadPoolExecutor if way == "threads" else futures.ProcessPoolExecutor
        with make(2) as pool:
            results = list(pool.map(attempt, numbers))
            assert pool.submit(train, 5).result() == {"lr": 5}
    else:
        import joblib
        results = joblib.Parallel(n_jobs=2, backend=way.partition("-")[2])(joblib.delayed(attempt)(n) for n in numbers)
        assert joblib.Parallel(n_jobs=1)([joblib.delayed(train)(5)]) == [{"lr": 5}]
    assert results == [1, 2, "failed", 4], results

if __name__ == "__main__":
    main(sys.argv[1])
"""


@pytest.mark.parametrize("way", ["fork", "spawn", "threads", "processes", "joblib-loky", "joblib-threading"])
def test_a_tracked_function_runs_in_workers(script, base, way):
    """Each call has its true status in every kind of worker, and the pool works as without us."""
    if way.startswith("joblib"):
        pytest.importorskip("joblib")
    done = script.run(WORKERS, way)
    assert done.returncode == 0, done.stderr
    entries = ExperimentManager(base).list_experiments()
    assert sorted((entry["config"]["lr"], entry["status"]) for entry in entries) == [
        (1, "completed"),
        (2, "completed"),
        (3, "failed"),
        (4, "completed"),
        (5, "completed"),
    ]
    assert all(entry["metrics"]["lr"] == entry["config"]["lr"] for entry in entries)
    assert all(entry["parent"] is None for entry in entries)


def test_processes_inside_of_an_experiment_leave_it_alone(script, base):
    """Forked workers neither end their parent's experiment nor change its record; theirs name it as their parent."""
    done = script.run(
        """
        import multiprocessing
        from runbook import experiment, tracked

        @tracked
        def train(lr):
            return {"lr": lr}

        if __name__ == "__main__":
            with experiment({"sweep": True}, name="sweep") as exp:
                with multiprocessing.get_context("fork").Pool(2) as pool:
                    pool.map(train, [1, 2])
                    pool.close()
                    pool.join()
                assert exp.status == "running"
                print(exp.id)
        """
    )
    assert done.returncode == 0, done.stderr
    manager = ExperimentManager(base)
    assert (manager.get_experiment("sweep").status, manager.get_experiment("sweep").end_reason) == (
        "completed",
        "returned",
    )
    children = [entry for entry in manager.list_experiments() if entry["custom_name"] == "train"]
    assert [entry["status"] for entry in children] == ["completed"] * 2
