"""Hints about what to do next, in Python and on the command line, and the nearest words to a misspelt one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_SHOWN: Final = 8


# No attrs class, because every listing imports this module, and importing attrs takes longer than a listing.
class Hint(NamedTuple):
    """What to do about a problem, as the last part of a sentence.

    Args:
        python: what to do in Python.
        command: what to do on the command line; None if the command line cannot help.
    """

    python: str
    command: str | None

    @property
    def at_terminal(self) -> str:
        """The hint to show on the command line: the one for the command line, else the one for Python."""
        return self.python if self.command is None else self.command


def hint_for_both(text: str) -> Hint:
    """A hint with the same text for Python and the command line; it names neither a call nor a command."""
    return Hint(text, text)


def find_nearest(wanted: str, known: Iterable[str], *, most: int = 3, cutoff: float = 0.4) -> list[str]:
    """The known words that are similar to an unknown one, most similar first.

    Args:
        wanted: the unknown word.
        known: the known words.
        most: the largest number of words to return.
        cutoff: the least similarity, from 0 (any word) to 1 (equal).
    """
    import difflib

    return difflib.get_close_matches(wanted, list(dict.fromkeys(known)), n=most, cutoff=cutoff)


def ask_for(words: Sequence[str]) -> str:
    """A question that asks whether one of these words was meant.

    Example:
        >>> ask_for(["loss", "val/loss"])
        'did you mean loss or val/loss?'
    """
    return f"did you mean {' or '.join(words)}?"


def list_known(known: Iterable[str]) -> str:
    """A sentence that lists the known words, or the first eight of them.

    Example:
        >>> list_known(["f1", "loss"]), list_known([])
        ('there are: f1, loss', 'there are none')
    """
    words = list(dict.fromkeys(known))
    if not words:
        return "there are none"
    return f"there are: {', '.join(words[:_SHOWN])}{', …' if len(words) > _SHOWN else ''}"


def suggest(wanted: str, known: Iterable[str], otherwise: str = "") -> str:
    """A hint what to write instead of an unknown word: the most similar words, else all known words.

    Args:
        wanted: the unknown word.
        known: the known words.
        otherwise: the text to return if no word is similar, instead of the list.
    """
    words = list(dict.fromkeys(known))
    nearest = find_nearest(wanted, words)
    return ask_for(nearest) if nearest else otherwise or list_known(words)
