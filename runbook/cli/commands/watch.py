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

    from runbook.cli.follow import Sight

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
        return _once(context, only)
    signal.signal(signal.SIGTERM, _end)
    if context.is_terminal:
        _live(context, only, interval)
    else:
        _lines(context, only, interval)
    return None


def _once(context: Context, only: Sequence[str]) -> int | None:
    sights = follow.Follower(context.manager, only).look()
    if context.as_json:
        context.print_json([sight.as_plain() for sight in sights])
        return None if sights else 1
    if not sights:
        raise NothingFoundError(f"nothing runs in {context.shown_dir}; 'runbook ls' shows what has ended")
    for sight in sights:
        for line in _block(sight, context.width, is_unicode=context.is_unicode):
            context.print(line)
    return None


def _end(signum: int, frame: object) -> None:
    # Through the blocks that restore the terminal.
    del signum, frame
    sys.exit(_SIGTERM)


def _live(context: Context, only: Sequence[str], interval: float) -> None:
    from rich.console import Console
    from rich.live import Live

    console = Console(highlight=False, markup=False, emoji=False, no_color=not context.is_coloured)
    follower = follow.Follower(context.manager, only)
    with Live(console=console, auto_refresh=False) as live:
        while True:
            sights = follower.look()
            live.update(_screen(context, sights, console.width, console.height), refresh=True)
            if only and _are_over(sights):
                return
            time.sleep(interval)


def _are_over(sights: Sequence[Sight]) -> bool:
    return all(sight.state == follow.ENDED for sight in sights)


def _screen(context: Context, sights: Sequence[Sight], width: int, height: int) -> Text:
    from rich.text import Text

    # Those that run first: the screen may be too small for all.
    ordered = sorted(sights, key=lambda sight: sight.state == follow.ENDED)
    text = Text(no_wrap=True, overflow="ellipsis")
    lines = 0
    for place, sight in enumerate(ordered):
        block = _block(sight, width, is_unicode=context.is_unicode)
        lines += len(block)
        if lines > height - 2:
            text.append(f"and {len(ordered) - place} more\n")
            break
        first, *others = block
        text.append(f"{first}\n", style="bold")
        colour = colours.STATUS_COLOURS.get(sight.status, "")
        for number, line in enumerate(others):
            text.append(f"{line}\n", style=colour if number == 0 else "")
    running = sum(sight.state != follow.ENDED for sight in sights)
    ended = f", {len(sights) - running} ended" if running < len(sights) else ""
    text.append(f"{datetime.now().astimezone():%H:%M:%S}  {running} running{ended}  (Ctrl-C ends the watch)")
    return text


def _lines(context: Context, only: Sequence[str], interval: float) -> None:
    """A line for each change, for a file or a pipe."""
    follower = follow.Follower(context.manager, only)
    seen: dict[str, tuple[Any, ...]] = {}
    while True:
        sights = follower.look()
        for sight in sights:
            told = None if sight.progress is None else sight.progress.done
            is_silent = sight.is_silent(datetime.now(UTC))
            now = (sight.status, sight.state, sight.step, str(sight.metrics), told, is_silent)
            if seen.get(sight.experiment_id) != now:
                seen[sight.experiment_id] = now
                _, *parts = _block(sight, context.width, is_unicode=context.is_unicode, has_bar=False)
                line = "  ".join([display.visible(sight.experiment_id), *(part.strip() for part in parts)])
                context.print(f"{datetime.now().astimezone():%H:%M:%S}  {line}")
        sys.stdout.flush()
        if only and _are_over(sights):
            return
        time.sleep(interval)


def _block(sight: Sight, width: int, *, is_unicode: bool, has_bar: bool = True) -> list[str]:
    """One experiment in two or three lines: who, how it is, its metrics."""
    now = datetime.now(UTC)
    # As a rule its id tells its name.
    name = sight.custom_name or ""
    lines = [display.visible(sight.experiment_id if name in sight.experiment_id else f"{sight.experiment_id}  {name}")]
    parts = [_state(sight, now)]
    if sight.duration_s is not None:
        parts.append(display.duration(sight.duration_s))
    if sight.step is not None:
        parts.append(f"step {display.number(sight.step)}")
    parts += _progress(sight, now, is_unicode=is_unicode, has_bar=has_bar)
    lines.append("  " + "  ".join(parts))
    shown = list(sight.metrics.items())[:_METRICS_SHOWN]
    if shown:
        more = len(sight.metrics) - len(shown)
        values = [f"{display.visible(name)}={display.one_line(value)}" for name, value in shown]
        lines.append("  " + "  ".join([*values, *([f"and {more} more"] if more else [])]))
    return [display.cut(line, width, display.width_of, "…" if is_unicode else "...") for line in lines]


def _state(sight: Sight, now: datetime) -> str:
    if sight.state == follow.ENDED:
        return sight.status + (f" ({display.visible(str(sight.end_reason))})" if sight.end_reason else "")
    last = display.age(sight.last_sign_of_life, now)
    if sight.state == "unknown":
        return f"cannot be seen from here, last sign of life {last}"
    return f"alive, silent for {display.duration(sight.silent_s(now))}" if sight.is_silent(now) else "alive"


def _progress(sight: Sight, now: datetime, *, is_unicode: bool, has_bar: bool) -> list[str]:
    told = sight.progress
    if told is None:
        return []
    parts = [display.number(told.done)]
    if told.total is not None and told.fraction is not None:
        parts = [f"{display.number(told.done)}/{display.number(told.total)} ({told.fraction:.0%})"]
        filled = int(_BAR * told.fraction)
        full, empty = ("█", "░") if is_unicode else ("#", "-")
        if has_bar:
            parts.insert(0, full * filled + empty * (_BAR - filled))
    if told.rate is not None and sight.state != follow.ENDED and not sight.is_silent(now):
        slow = told.rate < 1
        parts.append(f"{display.duration(1 / told.rate)} each" if slow else f"{display.number(told.rate)}/s")
    remaining = sight.remaining_s(now)
    if remaining is not None:
        parts.append(f"~{display.duration(remaining)} left")
    return parts
