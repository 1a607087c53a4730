"""Hints: each has a text for Python and one for the command line, which name what is possible there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import runbook
from runbook.hints import Hint, ask_for, find_nearest, hint_for_both, list_known, suggest

ROOT = Path(runbook.__file__).parent
SOURCES = {path.relative_to(ROOT): ast.parse(path.read_text(encoding="utf-8")) for path in ROOT.rglob("*.py")}

IS_CALL = re.compile(r"\w\(|(?<![-\w])[a-z]\w*=|\b[a-z]+(?:_[a-z]+)+\b|\bexp\.|\bmanager\.")
"""A call, a keyword argument, or a name as Python spells it."""
IS_COMMAND = re.compile(r"'runbook |(?<![-\w])--\w|\bpip ")
ONLY_WAY = {'run: pip install "runbook[…]"': "a library is installed on the command line"}


def text_of(node):
    """The text of a literal, `…` in the place of each value; None for anything else."""
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def calls_of(*names):
    """Every call of a function or class, with the file that it stands in."""
    for path, tree in SOURCES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func).removeprefix("errors.") in names:
                yield path, node


def hints():
    """Every hint in the source of which the text is written there, as a file, a text for Python and one to type."""
    for path, call in calls_of("Hint"):
        yield path, text_of(call.args[0]), text_of(call.args[1])
    for path, call in calls_of("hint_for_both"):
        yield path, text_of(call.args[0]), text_of(call.args[0])
    for path, tree in SOURCES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "hint":
                yield path, text_of(node.value), text_of(node.value)


HINTS = [(path, python, command) for path, python, command in hints() if python is not None]


def test_the_hints_are_found():
    """The hints are found; otherwise the tests below would check nothing."""
    assert len(HINTS) > 40
    assert sum(command is not None and command != python for _, python, command in HINTS) > 12


def test_a_hint_for_python_names_no_command():
    """A hint for Python names no command, unless a command is the only way."""
    assert [hint for hint in HINTS if IS_COMMAND.search(hint[1]) and hint[1] not in ONLY_WAY] == []


def test_a_hint_for_the_command_line_names_no_call():
    """A hint for the command line names neither a call nor an argument of one."""
    assert [hint for hint in HINTS if hint[2] is not None and IS_CALL.search(hint[2])] == []


@pytest.mark.parametrize("text", ["repair() mends it", "pass allow_pickle=True", "export_path", "exp.log does"])
def test_what_python_can_do_is_seen(text):
    """The rule above finds calls, arguments and names."""
    assert IS_CALL.search(text)
    assert not IS_COMMAND.search(text)


@pytest.mark.parametrize("text", ["'runbook repair' mends it", "add --allow-pickle", "--dir or RUNBOOK_DIR"])
def test_what_a_terminal_can_do_is_seen(text):
    """The rule above finds commands and options, and takes neither for Python."""
    assert IS_COMMAND.search(text)
    assert not IS_CALL.search(text)


def test_an_error_that_is_described_where_it_is_raised_gets_its_hint_there():
    """These classes have no hint of their own, and a hint never hides at the end of a description."""
    raised = [*calls_of("UsageError", "ResumeError", "ComparisonError")]
    assert len(raised) > 25
    assert [
        ast.unparse(call) for _, call in raised if len(call.args) != 2 or "; " in (text_of(call.args[0]) or "")
    ] == []


def test_where_only_python_can_do_anything_a_terminal_shows_that():
    """No hint at all would be worse."""
    assert Hint("call it later", None).at_terminal == "call it later"
    assert Hint("call it later", "type it later").at_terminal == "type it later"
    assert hint_for_both("later") == Hint("later", "later")


@pytest.mark.parametrize(
    ("wanted", "otherwise", "hint"),
    [
        ("f2", "", "did you mean f1?"),
        ("lss", "", "did you mean loss or val_loss?"),
        ("zzz", "", "there are: f1, loss, val_loss"),
        ("zzz", "look for it", "look for it"),
        ("f2", "look for it", "did you mean f1?"),
    ],
)
def test_a_misspelt_word_gets_the_nearest_ones_or_all(wanted, otherwise, hint):
    """Best first; where nothing comes close, what there is, or another hint."""
    assert suggest(wanted, ["f1", "loss", "val_loss", "f1"], otherwise) == hint


def test_the_nearest_words_are_few_and_each_is_named_once():
    """As many as asked for, as close as asked for."""
    words = ["runs", "run", "runs", "rune", "ruin"]
    assert find_nearest("runn", words) == ["run", "runs", "rune"]
    assert find_nearest("runn", words, most=1) == ["run"]
    assert find_nearest("runn", words, cutoff=0.99) == []
    assert ask_for(["run"]) == "did you mean run?"


def test_of_many_words_the_first_are_listed():
    """A message is no directory."""
    assert list_known(f"m{number}" for number in range(12)).endswith("m6, m7, …")
    assert list_known([]) == "there are none"


def test_there_is_one_search_for_the_nearest_word():
    """So that all of them answer alike."""
    assert [str(path) for path, tree in SOURCES.items() if "difflib" in ast.unparse(tree)] == ["hints.py"]
