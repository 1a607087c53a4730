"""What to do next: hints for Python and for the command line, and the words that come close to a misspelt one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_SHOWN: Final = 8


# No attrs class: every listing imports this module, and attrs takes longer to import than a listing takes.
class Hint(NamedTuple):
    """What to do about a problem, as the end of a sentence.

    Args:
        python: for somebody who writes Python.
        command: for somebody at a terminal; None where only Python can do anything about it.
    """

    python: str
    command: str | None

    @property
    def at_terminal(self) -> str:
        """What to show to somebody at a terminal: the hint for the command line, else the one for Python."""
        return self.python if self.command is None else self.command


def hint_for_both(text: str) -> Hint:
    """A hint that names neither a call nor a command, so that it serves Python and the command line."""
    return Hint(text, text)


def find_nearest(wanted: str, known: Iterable[str], *, most: int = 3, cutoff: float = 0.4) -> list[str]:
    """The words that come close to one that is not known, best first.

    Args:
        wanted: what somebody wrote.
        known: the words that there are.
        most: how many to give at most.
        cutoff: how close they must come, from 0 (anything) to 1 (equal).
    """
    import difflib

    return difflib.get_close_matches(wanted, list(dict.fromkeys(known)), n=most, cutoff=cutoff)


def ask_for(words: Sequence[str]) -> str:
    """The question whether one of these words was meant.

    Example:
        >>> ask_for(["loss", "val/loss"])
        'did you mean loss or val/loss?'
    """
    return f"did you mean {' or '.join(words)}?"


def list_known(known: Iterable[str]) -> str:
    """The words that there are, or the first of them.

    Example:
        >>> list_known(["f1", "loss"]), list_known([])
        ('there are: f1, loss', 'there are none')
    """
    words = list(dict.fromkeys(known))
    if not words:
        return "there are none"
    return f"there are: {', '.join(words[:_SHOWN])}{', …' if len(words) > _SHOWN else ''}"


def suggest(wanted: str, known: Iterable[str], otherwise: str = "") -> str:
    """What to write instead of a word that is not known: the nearest words, else what there is.

    Args:
        wanted: what somebody wrote.
        known: the words that there are.
        otherwise: what to say where nothing comes close, instead of listing them.
    """
    words = list(dict.fromkeys(known))
    nearest = find_nearest(wanted, words)
    return ask_for(nearest) if nearest else otherwise or list_known(words)
