"""`watch`: the experiments that run, as they go."""

from __future__ import annotations

import signal
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click

from runbook import display
from runbook.cli import follow
from runbook.cli.context import Context, command
from runbook.cli.exit_codes import NothingFoundError
from runbook.cli.options import experiment_argument
from runbook.render import colours

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.text import Text

    from runbook.cli.follow import Snapshot

_SIGTERM: Final = 143
_METRICS_SHOWN: Final = 8
_BAR: Final = 16


@command(
    "watch",
    empty=[],
    json="an array of objects with experiment_id, custom_name, status, end_reason, state (alive, unknown or ended), "
    "evidence, step, metrics, progress (done, total, time, per_second, remaining_s; or null), last_sign_of_life and "
    "duration_s; once.",
    example="runbook watch\nrunbook watch baseline --interval 10\nrunbook watch --once",
)
@experiment_argument("experiments", several=True)
@click.option(
    "--interval", type=click.FloatRange(min=0.1), default=2.0, show_default=True, help="Seconds between looks."
)
@click.option("--once", is_flag=True, help="Look once, print and end.")
def watch(context: Context, experiments: tuple[str, ...], *, interval: float, once: bool) -> int | None:
    """Watch experiments while they run.

    Their last metrics, their progress, and whether they live.

    Without EXPERIMENT all that run, and those that begin meanwhile, until Ctrl-C; with one or several, until they
    have ended. What ends meanwhile stays in view with its ending.

    A process on another machine cannot be seen from here: of such an experiment the last sign of life is shown.
    """
    only = tuple(context.experiment(wanted).id for wanted in experiments)
    if once or context.as_json:
        return _print_once(context, only)
    signal.signal(signal.SIGTERM, _exit)
    if context.is_terminal:
        _show_live(context, only, interval)
    else:
        _print_changes(context, only, interval)
    return None


def _print_once(context: Context, only: Sequence[str]) -> int | None:
    snapshots = follow.Follower(context.manager, only).look()
    if context.as_json:
        context.print_json([snapshot.to_jsonable() for snapshot in snapshots])
        return None if snapshots else 1
    if not snapshots:
        raise NothingFoundError(f"nothing runs in {context.shown_dir}; 'runbook ls' shows what has ended")
    for snapshot in snapshots:
        for line in _describe(snapshot, context.width, is_unicode=context.is_unicode):
            context.print(line)
    return None


def _exit(signum: int, frame: object) -> None:
    # An exception, so that the blocks that restore the terminal are left.
    del signum, frame
    sys.exit(_SIGTERM)


def _show_live(context: Context, only: Sequence[str], interval: float) -> None:
    from rich.console import Console
    from rich.live import Live

    console = Console(highlight=False, markup=False, emoji=False, no_color=not context.is_coloured)
    follower = follow.Follower(context.manager, only)
    with Live(console=console, auto_refresh=False) as live:
        while True:
            snapshots = follower.look()
            live.update(_build_screen(context, snapshots, console.width, console.height), refresh=True)
            if only and _are_over(snapshots):
                return
            time.sleep(interval)


def _are_over(snapshots: Sequence[Snapshot]) -> bool:
    return all(snapshot.state == follow.ENDED for snapshot in snapshots)


def _build_screen(context: Context, snapshots: Sequence[Snapshot], width: int, height: int) -> Text:
    from rich.text import Text

    # Running ones first, because the screen may be too small for all.
    ordered = sorted(snapshots, key=lambda snapshot: snapshot.state == follow.ENDED)
    text = Text(no_wrap=True, overflow="ellipsis")
    lines = 0
    for position, snapshot in enumerate(ordered):
        block = _describe(snapshot, width, is_unicode=context.is_unicode)
        lines += len(block)
        if lines > height - 2:
            text.append(f"and {len(ordered) - position} more\n")
            break
        first, *others = block
        text.append(f"{first}\n", style="bold")
        colour = colours.STATUS_COLOURS.get(snapshot.status, "")
        for number, line in enumerate(others):
            text.append(f"{line}\n", style=colour if number == 0 else "")
    running = sum(snapshot.state != follow.ENDED for snapshot in snapshots)
    ended = f", {len(snapshots) - running} ended" if running < len(snapshots) else ""
    text.append(f"{datetime.now().astimezone():%H:%M:%S}  {running} running{ended}  (Ctrl-C ends the watch)")
    return text


def _print_changes(context: Context, only: Sequence[str], interval: float) -> None:
    """Print a line for each change, for a file or a pipe."""
    follower = follow.Follower(context.manager, only)
    seen: dict[str, tuple[Any, ...]] = {}
    while True:
        snapshots = follower.look()
        for snapshot in snapshots:
            recorded = None if snapshot.progress is None else snapshot.progress.done
            is_silent = snapshot.is_silent(datetime.now(UTC))
            now = (snapshot.status, snapshot.state, snapshot.step, str(snapshot.metrics), recorded, is_silent)
            if seen.get(snapshot.experiment_id) != now:
                seen[snapshot.experiment_id] = now
                _, *parts = _describe(snapshot, context.width, is_unicode=context.is_unicode, has_bar=False)
                line = "  ".join([display.visible(snapshot.experiment_id), *(part.strip() for part in parts)])
                context.print(f"{datetime.now().astimezone():%H:%M:%S}  {line}")
        sys.stdout.flush()
        if only and _are_over(snapshots):
            return
        time.sleep(interval)


def _describe(snapshot: Snapshot, width: int, *, is_unicode: bool, has_bar: bool = True) -> list[str]:
    """One experiment in two or three lines: its id, its state, its metrics."""
    now = datetime.now(UTC)
    # Most ids contain the name.
    name = snapshot.custom_name or ""
    lines = [
        display.visible(
            snapshot.experiment_id if name in snapshot.experiment_id else f"{snapshot.experiment_id}  {name}"
        )
    ]
    parts = [_describe_state(snapshot, now)]
    if snapshot.duration_s is not None:
        parts.append(display.duration(snapshot.duration_s))
    if snapshot.step is not None:
        parts.append(f"step {display.number(snapshot.step)}")
    parts += _describe_progress(snapshot, now, is_unicode=is_unicode, has_bar=has_bar)
    lines.append("  " + "  ".join(parts))
    shown = list(snapshot.metrics.items())[:_METRICS_SHOWN]
    if shown:
        more = len(snapshot.metrics) - len(shown)
        values = [f"{display.visible(name)}={display.one_line(value)}" for name, value in shown]
        lines.append("  " + "  ".join([*values, *([f"and {more} more"] if more else [])]))
    return [display.cut(line, width, display.width_of, "…" if is_unicode else "...") for line in lines]


def _describe_state(snapshot: Snapshot, now: datetime) -> str:
    if snapshot.state == follow.ENDED:
        return snapshot.status + (f" ({display.visible(str(snapshot.end_reason))})" if snapshot.end_reason else "")
    last = display.age(snapshot.last_sign_of_life, now)
    if snapshot.state == "unknown":
        return f"cannot be seen from here, last sign of life {last}"
    return f"alive, silent for {display.duration(snapshot.silent_s(now))}" if snapshot.is_silent(now) else "alive"


def _describe_progress(snapshot: Snapshot, now: datetime, *, is_unicode: bool, has_bar: bool) -> list[str]:
    recorded = snapshot.progress
    if recorded is None:
        return []
    parts = [display.number(recorded.done)]
    if recorded.total is not None and recorded.fraction is not None:
        parts = [f"{display.number(recorded.done)}/{display.number(recorded.total)} ({recorded.fraction:.0%})"]
        filled = int(_BAR * recorded.fraction)
        full, empty = ("█", "░") if is_unicode else ("#", "-")
        if has_bar:
            parts.insert(0, full * filled + empty * (_BAR - filled))
    if recorded.rate is not None and snapshot.state != follow.ENDED and not snapshot.is_silent(now):
        slow = recorded.rate < 1
        parts.append(f"{display.duration(1 / recorded.rate)} each" if slow else f"{display.number(recorded.rate)}/s")
    remaining = snapshot.remaining_s(now)
    if remaining is not None:
        parts.append(f"~{display.duration(remaining)} left")
    return parts
