"""Claims about the public types; `test_typing.py` has mypy and pyright check them, nobody runs them.

A line that must be an error carries `type: ignore` with the code of the error: where it is none, mypy complains
that the comment is not used. What pyright alone cannot tell carries `pyright: ignore`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any, assert_type

import runbook
from runbook import (
    Comparison,
    EndReason,
    Experiment,
    ExperimentList,
    ExperimentManager,
    ExperimentNotFoundError,
    ExperimentView,
    GroupComparison,
    Progress,
    QueryError,
    RunbookError,
    Status,
    UnknownStatusError,
    current_experiment,
    experiment,
    tracked,
)
from runbook.pages.report import write_report

manager = ExperimentManager()
assert_type(manager, ExperimentManager)
ExperimentManager("./experiments", "experiment_registry.json")
ExperimentManager(base_dir=Path("experiments"), registry_file="experiment_registry.json")
ExperimentManager(base_dir=3)  # type: ignore[arg-type]


# --- tracked over each kind of function ------------------------------------------------------------------------------


@tracked
def plain(lr: float, epochs: int = 3) -> dict[str, float]:
    """A plain function."""
    return {"lr": lr * epochs}


assert_type(plain(0.1), dict[str, float])
assert_type(plain(lr=0.1, epochs=2), dict[str, float])
plain("0.1")  # type: ignore[arg-type]
plain()  # type: ignore[call-arg]
plain(0.1, seed=1)  # type: ignore[call-arg]


@tracked
async def coroutine(lr: float) -> str:
    """A coroutine function."""
    return str(lr)


@tracked
def generator(lr: float) -> Iterator[int]:
    """A generator."""
    yield int(lr)


@tracked
def full_generator(lr: float) -> Generator[int, str, bool]:
    """A generator that is sent to and returns."""
    return (yield int(lr)) == "x"


@tracked
async def async_generator(lr: float) -> AsyncIterator[int]:
    """An async generator."""
    yield int(lr)


@tracked
async def full_async_generator(lr: float) -> AsyncGenerator[int, str]:
    """An async generator that is sent to."""
    yield int(lr)


async def await_them() -> None:
    """What comes out of each kind."""
    assert_type(await coroutine(0.1), str)
    assert_type(generator(0.1), Iterator[int])
    assert_type(full_generator(0.1), Generator[int, str, bool])
    assert_type([item async for item in async_generator(0.1)], list[int])
    assert_type(full_async_generator(0.1), AsyncGenerator[int, str])
    await coroutine("0.1")  # type: ignore[arg-type]
    async_generator()  # type: ignore[call-arg]


# --- a first parameter that is the experiment vanishes ---------------------------------------------------------------


@tracked
def receives(exp: Experiment, lr: float, *, epochs: int = 3) -> float:
    """Callers pass what comes after it."""
    exp.log(lr=lr, epochs=epochs)
    return lr


assert_type(receives(0.1), float)
assert_type(receives(lr=0.1, epochs=2), float)
receives("0.1")  # type: ignore[arg-type]
receives(0.1, 2)  # type: ignore[call-arg]


@tracked(name="named", description="d", tags=["a"], base_dir=Path("x"), hash_exclude=["seed"], save_result=False)
def receives_with_options(exp: Experiment, lr: float) -> float:
    """The same with options."""
    return lr


assert_type(receives_with_options(0.1), float)
receives_with_options()  # type: ignore[call-arg]


@tracked(config="config")
async def receives_async(exp: Experiment, config: dict[str, int]) -> list[int]:
    """The same for a coroutine function."""
    return list(config.values())


async def await_receiver() -> None:
    """The experiment is not the caller's to pass."""
    assert_type(await receives_async({"a": 1}), list[int])
    await receives_async()  # type: ignore[call-arg]


@tracked
def takes_anything(config: object) -> int:
    """A first parameter that would also take an experiment is the caller's all the same."""
    return len(str(config))


# To pyright, a parameter that would take an experiment is one that receives it.
assert_type(takes_anything({"lr": 0.1}), int)  # pyright: ignore[reportAssertTypeFailure, reportCallIssue]


@tracked()
def takes_an_optional(config: dict[str, int] | None = None) -> int:
    """A parameter with a default."""
    return len(config or {})


assert_type(takes_an_optional(), int)
assert_type(takes_an_optional({"a": 1}), int)


@tracked
def takes_nothing() -> None:
    """No parameters at all."""


takes_nothing()
takes_nothing(1)  # type: ignore[call-arg]


class Trainer:
    """Methods of each kind."""

    @tracked
    def method(self, lr: float) -> float:
        """A method."""
        return lr

    @tracked(tags="sweep")
    async def async_method(self, lr: float) -> float:
        """A coroutine method."""
        return lr

    @staticmethod
    @tracked
    def static(lr: float) -> float:
        """A static method."""
        return lr

    @classmethod
    @tracked
    def of_class(cls, lr: float) -> float:
        """A class method."""
        return lr


assert_type(Trainer().method(0.1), float)
assert_type(Trainer.static(0.1), float)
assert_type(Trainer.of_class(0.1), float)
Trainer().method("0.1")  # type: ignore[arg-type]
Trainer().method()  # type: ignore[call-arg]


@manager.tracked
def by_manager(lr: float) -> float:
    """Tracked in one manager's directory."""
    return lr


@manager.tracked(name="x", tags=("a", "b"), save_result=True, config={"lr": 1})
def by_manager_with_options(exp: Experiment, lr: float) -> float:
    """The same with options."""
    return lr


assert_type(by_manager(0.1), float)
assert_type(by_manager_with_options(0.1), float)
tracked(nmae="x")  # type: ignore[call-overload]
tracked(tags=3)  # type: ignore[call-overload]
tracked("name")  # type: ignore[call-overload]


# --- the block and the handle ----------------------------------------------------------------------------------------

assert_type(current_experiment(), Experiment | None)

with experiment({"lr": 0.1}, name="n", description="d", tags=["t"], base_dir="x", hash_exclude=("a",)) as exp:
    assert_type(exp, Experiment)
    assert_type(exp.id, str)
    assert_type(exp.name, str | None)
    assert_type(exp.description, str | None)
    assert_type(exp.path, Path)
    assert_type(exp.checkpoints_dir, Path)
    assert_type(exp.results_dir, Path)
    assert_type(exp.metrics_dir, Path)
    assert_type(exp.logs_dir, Path)
    assert_type(exp.config, Any)
    assert_type(exp.status, Status)
    assert_type(exp.end_reason, EndReason | None)
    assert_type(exp.tags, tuple[str, ...])
    assert_type(exp.notes, str | None)
    assert_type(exp.parent, str | None)
    assert_type(exp.metrics, dict[str, Any])
    assert_type(exp.is_ended, bool)
    assert_type(exp.history(), dict[str, list[Any]])
    assert_type(exp.save_training_history(), Path)
    assert_type(exp.save_training_history({"loss": [1.0]}), Path)
    assert_type(exp.save_predictions([1]), Path)
    assert_type(exp.save_predictions([1], "p.json"), Path)
    assert_type(exp.save_bias_metrics({}, {}), Path)
    assert_type(exp.save_xai_metrics({}), Path)
    assert_type(exp.save_eraser_results("x.jsonl"), Path)
    assert_type(exp.save_eraser_results(Path("x.jsonl")), Path)
    assert_type(exp.save_final_metrics({"f1": 0.9}), Path)
    assert_type(exp.save_metrics("mine", {"f1": 0.9}), Path)
    assert_type(exp.save_artifact("x"), Path)
    assert_type(exp.save_artifact({"a": 1}, "x.json"), Path)
    assert_type(exp.save_figure(object(), "x.png"), Path)
    exp.save_figure(object())  # type: ignore[call-arg]
    exp.log({"loss": 0.3}, step=10)
    exp.log(loss=0.3)
    exp.log(loss=0.3, step=10)
    exp.note("text")
    exp.add_tags("a", "b")
    exp.finish("completed", "notes")
    exp.finish(Status.FAILED)
    exp.log([("loss", 1)])  # type: ignore[arg-type]
    exp.note(3)  # type: ignore[arg-type]
    exp.status = Status.FAILED  # type: ignore[misc]
    exp.save_final_metrics(3)  # type: ignore[arg-type]

with manager.experiment({"lr": 0.1}, name="n", tags="t") as managed:
    assert_type(managed, Experiment)

experiment({}, nmae="x")  # type: ignore[call-arg]
manager.experiment({}, nmae="x")  # type: ignore[call-arg]


async def in_a_task() -> None:
    """`async with`."""
    async with experiment({"lr": 0.1}) as exp:
        assert_type(exp, Experiment)


def leaves_the_exception_alone() -> int:
    """The block never swallows, so that nothing is missing after it."""
    with experiment():
        return 1


# --- the manager and the view ----------------------------------------------------------------------------------------

assert_type(manager.base_dir, Path)
assert_type(manager.create_experiment({"lr": 0.1}, custom_name="n", description="d"), Path)
manager.save_training_history({"loss": [1.0]})
manager.save_predictions([1], filename="p.json")
manager.save_bias_metrics({}, {})
manager.save_xai_metrics({})
manager.save_eraser_results("x.jsonl")
manager.save_final_metrics({"f1": 0.9})
manager.mark_complete(status="completed", notes="n")
manager.print_experiment_summary()
assert_type(manager.list_experiments(status="completed"), ExperimentList)
assert_type(
    manager.find("config.lr < 1", status=["failed"], tag="a", since="2d", sort=["-metrics.f1"], limit=3), ExperimentList
)
manager.find("config.lr < 1", "failed")  # type: ignore[call-arg]
manager.find(limit="3")  # type: ignore[arg-type]
manager.find(until=3)  # type: ignore[arg-type]
manager.find(statuss="failed")  # type: ignore[call-arg]
found = manager.find(since=timedelta(days=2), until=date(2026, 1, 1), status=(Status.FAILED, "completed"), name="base*")
assert_type(found[0], dict[str, Any])
assert_type(found[:5], ExperimentList)
manager.to_dataframe("config.lr < 1", status="failed", limit=3)
manager.to_dataframe(statuss="failed")  # type: ignore[call-arg]
assert_type(manager.compare_experiments(["a", "b"]), Comparison)
compared: dict[str, Any] = manager.compare_experiments(("a", "b"), minimize=["loss"], maximize="f1")
assert_type(manager.compare_experiments([]).to_text(80, colour=True), str)
assert_type(manager.compare_experiments([]).to_json(), str)
manager.compare_experiments(["a"], ["loss"])  # type: ignore[call-arg]
assert_type(manager.compare_groups(), GroupComparison)
groups = manager.compare_groups(
    ["lr", "name"], ["a"], where="lr < 1", metrics="f1", predictions="p.json", status="failed"
)
assert_type(groups.to_text(), str)
assert_type(groups.to_csv("pairs"), str)
assert_type(groups.best, dict[str, list[str]])
assert_type(groups.verdicts, list[str])
groups.to_csv("all")  # type: ignore[arg-type]
manager.compare_groups("lr", [], "lr < 1")  # type: ignore[call-arg]
assert_type(manager.export_experiment("a", "./shared"), Path)
assert_type(manager.import_experiment("./shared/a", progress=lambda done, total: print(done / total)), str | None)
manager.export_experiment("a", "./shared", progress=lambda done: print(done))  # type: ignore[arg-type, misc]
manager.merge("./other", progress=print)
assert_type(manager.collect_garbage(trash_older_than=timedelta(days=30), dry_run=True).experiments, tuple[str, ...])
manager.collect_garbage(trash_older_than=30)  # type: ignore[arg-type]
assert_type(manager.add_note("a", "looks good"), None)
manager.add_tags("a", "keep", "paper")
manager.remove_tags("a", "draft")
manager.add_tags("a", 3)  # type: ignore[arg-type]
manager.merge("./other", print)  # type: ignore[call-arg]
assert_type(manager.get_experiment_path("a"), Path)
assert_type(manager.save_figure(object(), "x.png"), Path)
assert_type(manager.report("report.html"), Path)
assert_type(manager.report(Path("report.html"), ["a", "b"], progress=lambda done, total: None), Path)
manager.report("report.html", [1])  # type: ignore[list-item]
assert_type(write_report(manager, None, "report.html"), Path)

assert_type(manager.get_experiments(["a", "b"]), list[ExperimentView])
view = manager.get_experiment("a")
assert_type(view, ExperimentView)
assert_type(view.status, Status)
assert_type(view.load_metrics(), dict[str, Any])
assert_type(view.load_predictions("p.pkl", allow_pickle=True), Any)
view.load_predictions("p.pkl", True)  # type: ignore[call-arg]
assert_type(view.last_progress, Progress | None)
view.log(loss=1)  # type: ignore[attr-defined]

# --- errors ----------------------------------------------------------------------------------------------------------

try:
    manager.get_experiment("x")
except ExperimentNotFoundError as error:
    assert_type(error.wanted, str)
    assert_type(error.nearest, tuple[str, ...])
except UnknownStatusError as status_error:
    assert_type(status_error.allowed, tuple[str, ...])
except QueryError as query_error:
    assert_type(query_error.column, int)
    assert_type(query_error.text, str)
except RunbookError as any_error:
    assert_type(any_error.description, str)
    if any_error.hint is not None:
        assert_type(any_error.hint.python, str)
        assert_type(any_error.hint.command, str | None)

assert_type(runbook.__version__, str)
runbook.nothing_of_the_kind  # type: ignore[attr-defined]
