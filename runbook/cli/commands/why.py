"""`why`: the reason for which an experiment failed or was interrupted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from runbook import display
from runbook.cli.context import Context, command
from runbook.cli.differences import differences, side
from runbook.cli.exit_codes import NothingFoundError
from runbook.cli.facts import damage_of, duration_s, moment, status_of
from runbook.cli.follow import read_last_values
from runbook.cli.options import experiment_argument
from runbook.cli.reasons import explain_status
from runbook.read.view import layout_of, record_of
from runbook.record.status import Status
from runbook.render import grid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runbook.read.view import ExperimentView

_EXPLAINED: Final = (Status.FAILED, Status.INTERRUPTED, Status.UNKNOWN)
_TRACEBACK_LINES: Final = 15
_METRICS_SHOWN: Final = 10
_DIFFERENCES_SHOWN: Final = 20


@command(
    "why",
    json="an object with experiment_id, status, end_reason, reason (a sentence), evidence, failure (type, message, "
    "traceback; or null), traceback_path (or null), step, metrics, duration_s, compared_with (an id, or null) and "
    "differences (config and environment: {key: {experiment_id: value}}).",
    example="runbook why\nrunbook why baseline",
)
@experiment_argument(default="")
def why(context: Context, experiment: str) -> None:
    """Explain why an experiment failed or was interrupted.

    By default the latest that did: with the last lines of its traceback, its last metrics, and what differs in config
    and environment from the last completed one of the same name.
    """
    view = context.experiment(experiment) if experiment else _find_latest(context)
    if view.status not in _EXPLAINED:
        raise NothingFoundError(f"there is nothing to explain: {view.id} {_describe_status(view)}")
    former = _find_last_completed(context, view)
    found = {} if former is None else differences(former, view)
    differing = {part: found.get(part, {}) for part in ("config", "environment")}
    step, logged = read_last_values(layout_of(view).history)
    if context.as_json:
        failure = record_of(view).failure
        context.print_json(
            {
                "experiment_id": view.id,
                "status": view.status,
                "end_reason": view.end_reason,
                "reason": explain_status(view),
                "evidence": _get_evidence(view),
                "failure": failure and {name: getattr(failure, name) for name in ("type", "message", "traceback")},
                "traceback_path": str(layout_of(view).traceback) if layout_of(view).traceback.exists() else None,
                "step": step,
                "metrics": logged or view.metrics,
                "duration_s": duration_s(view),
                "compared_with": None if former is None else former.id,
                "differences": differing,
            }
        )
        return
    context.write_lines(_write_lines(context, view, step, logged or view.metrics))
    context.write_lines(_write_differences(context, view, former, differing))


def _find_latest(context: Context) -> ExperimentView:
    found = context.manager.find(status=_EXPLAINED, limit=1)
    if not found:
        count = len(context.entries)
        none = "none has failed or was interrupted" if count else context.no_experiments()
        raise NothingFoundError(f"there is nothing to explain: {none}")
    return context.manager.get_experiment(found[0]["experiment_id"])


def _describe_status(view: ExperimentView) -> str:
    return "is running" if view.status is Status.RUNNING else f"has {view.status}"


def _get_evidence(view: ExperimentView) -> str | None:
    return record_of(view).attempts[-1].evidence if record_of(view).attempts else None


def _find_last_completed(context: Context, view: ExperimentView) -> ExperimentView | None:
    """The newest completed experiment of the same name; None without one, or without a name."""
    for entry in reversed(context.entries):
        if view.name is not None and entry["custom_name"] == view.name and entry["status"] == Status.COMPLETED:
            return context.manager.get_experiment(entry["experiment_id"])
    return None


def _write_lines(context: Context, view: ExperimentView, step: float | None, metrics: dict[str, Any]) -> Iterator[str]:
    failure = record_of(view).failure
    seconds = duration_s(view)
    after = [] if seconds is None else [f"after {display.duration(seconds)}"]
    at = [] if step is None else [f"at step {display.number(step)}"]
    ended = record_of(view).completed_at
    facts = {
        "status": f"{status_of(view)}: {explain_status(view)}",
        "error": "" if failure is None else f"{failure.type}: {failure.message}",
        "damage": damage_of(view) or "",
        "evidence": _get_evidence(view) or "",
        "ended": ", ".join([*([] if ended is None else [moment(ended)]), *after, *at]),
        "host": record_of(view).host or "",
        "notes": (view.notes or "").replace("\n", "; "),
    }
    shown = [(name, display.visible(value)) for name, value in facts.items() if value]
    yield context.title(display.visible(view.id))
    yield ""
    yield from grid.fact_lines(shown, context.width, styles={"status": view.status} if context.is_coloured else {})
    if failure is not None:
        lines = failure.traceback.rstrip("\n").splitlines()
        last = lines[-_TRACEBACK_LINES:]
        how_many = f"the last {len(last)} of {len(lines)} lines" if len(last) < len(lines) else f"{len(lines)} lines"
        title = f"traceback ({how_many}, in {layout_of(view).traceback.relative_to(view.path)})"
        yield f"\n{context.title(title)}"
        yield from (f"  {display.visible(line)}" for line in last)
    if metrics:
        yield f"\n{context.title('last metrics')}"
        items = [(display.visible(name), display.one_line(value)) for name, value in metrics.items()]
        yield from grid.fact_lines(items[:_METRICS_SHOWN], context.width)
        if len(items) > _METRICS_SHOWN:
            yield f"  and {len(items) - _METRICS_SHOWN} more"


def _write_differences(
    context: Context, view: ExperimentView, former: ExperimentView | None, differing: dict[str, Any]
) -> Iterator[str]:
    if former is None:
        named = "it has no name" if view.name is None else "no other one of its name has completed"
        yield ""
        yield from grid.paragraph_lines(f"nothing to compare it with: {named}", context.width)
        return
    changes = [
        (
            display.visible(key if part == "config" else f"{part}.{key}"),
            f"{display.visible(side(values, former.id))} there, {display.visible(side(values, view.id))} here",
        )
        for part, keys in differing.items()
        for key, values in keys.items()
    ]
    if not changes:
        yield ""
        yield from grid.paragraph_lines(
            f"same config and environment as {display.visible(former.id)}, which completed", context.width
        )
        return
    yield ""
    yield from grid.paragraph_lines(
        f"differs from {display.visible(former.id)}, the last of its name that completed", context.width
    )
    yield from grid.fact_lines(changes[:_DIFFERENCES_SHOWN], context.width)
    if len(changes) > _DIFFERENCES_SHOWN:
        yield f"  and {len(changes) - _DIFFERENCES_SHOWN} more: runbook diff shows them"
