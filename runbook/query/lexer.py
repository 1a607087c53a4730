"""Splitting an expression over the fields of experiments into words."""

from __future__ import annotations

import math
import re
from typing import Final, NamedTuple

from runbook import display, errors

MAX_LENGTH: Final = 10_000
"""The longest text that is read, in characters."""

MAX_PATH: Final = 50
"""The most names that a field's path may have."""

KEYWORDS: Final = frozenset({"and", "or", "not", "in", "contains", "is"})
CONSTANTS: Final = {
    "true": True,
    "false": False,
    "null": None,
    "none": None,
    "nan": math.nan,
    "inf": math.inf,
    "infinity": math.inf,
}
_INSTEAD: Final = {
    "&&": "write 'and'",
    "||": "write 'or'",
    "&": "write 'and'",
    "|": "write 'or'",
    "!": "write 'not'",
    "<>": "write '!='",
    "===": "write '=='",
    "=~": "write '~', with a shell pattern",
    "*": "there is no arithmetic here; compute the number first",
    "+": "there is no arithmetic here; compute the number first",
    "-": "there is no arithmetic here; compute the number first",
    "/": "there is no arithmetic here; compute the number first",
    "{": "a list stands in square brackets",
    "}": "a list stands in square brackets",
}
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", '"': '"'}
_HEX_ESCAPES: Final = {"x": 2, "u": 4}

_SPACE: Final = re.compile(r"\s*")
# A name may hold the characters that names of metrics have: val/loss, f1@10, top-5, rouge:l.
_NAME: Final = re.compile(r"[^\W\d][\w/@%#$:+-]*")
_INNER_NAME: Final = re.compile(r"[\w/@%#$:+-]+")
_NUMBER: Final = re.compile(r"[+-]?\.?[0-9](?:[eE][+-](?=[0-9])|[\w.])*")
_SIGNED_WORD: Final = re.compile(r"[+-](?:infinity|inf|nan)(?![\w.])", re.IGNORECASE)
_OPERATOR: Final = re.compile(r"<=|>=|==|!=|!~|[<>=~()\[\],]")
_FOREIGN: Final = re.compile(r"===|=~|<>|&&|\|\||.", re.DOTALL)


class Token(NamedTuple):
    """One word of an expression.

    Args:
        kind: "number", "text", "constant", "field", "keyword", "operator" or "end".
        value: the number, text or constant; the path of a field; the keyword in small letters; the operator.
        text: how it was written.
        column: the column at which it begins, 0-based.
    """

    kind: str
    value: object
    text: str
    column: int


def read_tokens(text: str, argument: str, start: int = 0) -> list[Token]:
    """The words of a text, with one of the kind "end" after the last.

    Args:
        text: an expression or a field.
        argument: the argument that it was given for, such as `where`, for the message.
        start: the column of the first character to read.

    Raises:
        QueryError: at the first character that belongs to no word.
    """
    if not isinstance(text, str):
        raise errors.QueryError(
            repr(text), 0, f"this is a {type(text).__name__}; write the {argument} as text", argument
        )
    if len(text) > MAX_LENGTH:
        problem = f"it has {len(text)} characters; at most {MAX_LENGTH} are read, so ask in several steps"
        raise errors.QueryError(text, MAX_LENGTH, problem, argument)
    reader = _Reader(text, argument, start)
    found = [reader.read_token()]
    while found[-1].kind != "end":
        found.append(reader.read_token())
    return found


class _Reader:
    """A position in a text, which moves on with each word that is read."""

    def __init__(self, text: str, argument: str, start: int) -> None:
        self._text = text
        self._argument = argument
        self._at = start

    def read_token(self) -> Token:
        self._at = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]  # it matches nothing, too
        start = self._at
        kind, value = self._read_next()
        return Token(kind, value, self._text[start : self._at], start)

    def _read_next(self) -> tuple[str, object]:
        if self._at == len(self._text):
            return "end", None
        if self._text[self._at] in "\"'":
            return "text", self._read_quoted()
        if word := self._take(_SIGNED_WORD):
            return "number", float(word)
        if word := self._take(_NUMBER):
            return "number", self._read_number(word)
        foreign = self._text[self._at : self._at + 3]
        if not foreign.startswith(("===", "=~", "<>")) and (word := self._take(_OPERATOR)):
            return "operator", word
        if word := self._take(_NAME):
            return self._read_word(word)
        odd = _FOREIGN.match(self._text, self._at)
        assert odd is not None
        hint = _INSTEAD.get(odd[0], 'put a name that has it in quotes after a dot, as in config."my key"')
        raise self._build_error(f"unexpected {odd[0]!r}; {hint}")

    def _take(self, pattern: re.Pattern[str]) -> str | None:
        found = pattern.match(self._text, self._at)
        if found is None:
            return None
        self._at = found.end()
        return found[0]

    def _read_word(self, first: str) -> tuple[str, object]:
        path = [first]
        while self._text.startswith(".", self._at):
            if len(path) == MAX_PATH:
                raise self._build_error(f"a field has more than {MAX_PATH} names; name the outer one")
            self._at += 1
            path.append(self._read_inner_name())
        if len(path) == 1 and first.lower() in KEYWORDS:
            return "keyword", first.lower()
        if len(path) == 1 and first.lower() in CONSTANTS:
            return "constant", CONSTANTS[first.lower()]
        return "field", tuple(path)

    def _read_inner_name(self) -> str:
        if self._text[self._at : self._at + 1] in ("'", '"'):
            return self._read_quoted()
        name = self._take(_INNER_NAME)
        if name is None:
            raise self._build_error("expected a name after the dot; put one with other characters in quotes")
        return name

    def _read_number(self, word: str) -> int | float:
        start = self._at - len(word)
        try:
            # `float` would round large whole numbers; ASCII alone, because `int` also reads digits of other scripts.
            number = int(word.encode("ascii")) if word.lstrip("+-").isdigit() else float(word.encode("ascii"))
        except ValueError:
            raise self._build_error(f"{_shorten(word)} is no number; write a text in quotes", start) from None
        if isinstance(number, float) and math.isinf(number):
            raise self._build_error(f"{_shorten(word)} is too large for a number; write inf", start)
        return number

    def _read_quoted(self) -> str:
        start = self._at
        quote = self._text[start]
        self._at += 1
        parts: list[str] = []
        while True:
            char = self._text[self._at : self._at + 1]
            if not char:
                raise self._build_error(f"this text has no end; close it with {quote}", start)
            self._at += 1
            if char == quote:
                return "".join(parts)
            parts.append(self._read_escape() if char == "\\" else char)

    def _read_escape(self) -> str:
        letter = self._text[self._at : self._at + 1]
        digits = self._text[self._at + 1 : self._at + 1 + _HEX_ESCAPES.get(letter, 0)]
        if letter in _ESCAPES and letter:
            self._at += 1
            return _ESCAPES[letter]
        if letter in _HEX_ESCAPES and re.fullmatch(f"[0-9a-fA-F]{{{_HEX_ESCAPES[letter]}}}", digits):
            self._at += 1 + len(digits)
            return chr(int(digits, 16))
        raise self._build_error("unknown escape; write \\\\ for a backslash", self._at - 1)

    def _build_error(self, problem: str, column: int | None = None) -> errors.QueryError:
        return errors.QueryError(self._text, self._at if column is None else column, problem, self._argument)


def _shorten(word: str) -> str:
    return repr(display.cut(word, MAX_PATH))
