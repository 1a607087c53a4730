"""The errors: facts as attributes, both bases, pickling, and a hint at the end of each message."""

from __future__ import annotations

import copy
import inspect
import pickle
import re

import pytest

import runbook
from runbook import errors
from runbook.cli.exit_codes import message_of
from runbook.errors import RunbookError
from runbook.hints import Hint, hint_for_both

LATER = Hint("call it later", "type it later")

# Each error with its arguments, its facts, the builtin a caller would reach for, and how its message ends.
TABLE = [
    (
        errors.ConfigError,
        ("int", "has no settings"),
        {"value_type": "int", "problem": "has no settings"},
        TypeError,
        "pass a mapping, a dataclass, or any object with attributes",
    ),
    (
        errors.InvalidNameError,
        ("file name", "a/b", "has a slash", "a-b"),
        {"what": "file name", "name": "a/b", "problem": "has a slash", "suggestion": "a-b"},
        ValueError,
        "use for example 'a-b'",
    ),
    (
        errors.UnknownStatusError,
        ("done", ["completed", "failed"]),
        {"status": "done", "allowed": ("completed", "failed")},
        ValueError,
        "use one of: completed, failed",
    ),
    (
        errors.UnknownSuffixError,
        ("a.xyz", [".json", ".csv"]),
        {"filename": "a.xyz", "known": (".json", ".csv")},
        ValueError,
        "end the name in one of: .json, .csv",
    ),
    (
        errors.PickleNotAllowedError,
        ("results/a.pkl",),
        {"path": "results/a.pkl"},
        ValueError,
        "pass allow_pickle=True if you trust whoever wrote it",
    ),
    (
        errors.QueryError,
        ("config.lr <", 11, "expected a value after '<', not the end"),
        {"text": "config.lr <", "column": 11, "problem": "expected a value after '<', not the end", "what": "where"},
        ValueError,
        "where cannot be read at column 12:\n  config.lr <\n             ^\nexpected a value after '<', not the end",
    ),
    (
        errors.QueryError,
        ("foo", 0, "write 2d", "since"),
        {"text": "foo", "column": 0, "problem": "write 2d", "what": "since"},
        ValueError,
        "write 2d",
    ),
    (
        errors.ComparisonError,
        ("nothing to compare", hint_for_both("choose others")),
        {"description": "nothing to compare"},
        ValueError,
        "nothing to compare; choose others",
    ),
    (
        errors.MissingExtraError,
        ("pandas", "pandas", "a data frame is one of its"),
        {"library": "pandas", "extra": "pandas", "purpose": "a data frame is one of its"},
        ImportError,
        'run: pip install "runbook[pandas]"',
    ),
    (errors.ResumeError, ("not now", LATER), {"description": "not now", "hint": LATER}, RuntimeError, "call it later"),
    (
        errors.ConfigDiffersError,
        ("20241216_x", {"lr": {"before": 0.1, "now": 0.2}, "new": {"now": 1}, "old": {"before": None}}),
        {
            "experiment_id": "20241216_x",
            "changes": {"lr": {"before": 0.1, "now": 0.2}, "new": {"now": 1}, "old": {"before": None}},
        },
        RuntimeError,
        "or resume='never' for a new experiment",
    ),
    (
        errors.ExperimentExistsError,
        ("20241216_x", "/data"),
        {"experiment_id": "20241216_x", "base_dir": "/data"},
        FileExistsError,
        "or delete_experiment the one that is there first",
    ),
    (
        errors.ExperimentExistsError,
        ("20241216_x", "/data", LATER),
        {"experiment_id": "20241216_x", "base_dir": "/data", "hint": LATER},
        FileExistsError,
        "in /data; call it later",
    ),
    (
        errors.BundleError,
        ("a.zip", "../evil", "leads out of the bundle"),
        {
            "path": "a.zip",
            "member": "../evil",
            "problem": "leads out of the bundle",
            "remedy": "nothing was imported; export the experiment anew and import that",
        },
        ValueError,
        "nothing was imported; export the experiment anew and import that",
    ),
    (
        errors.BundleError,
        ("a.zip", None, "is empty", "choose another"),
        {"path": "a.zip", "member": None, "problem": "is empty", "remedy": "choose another"},
        ValueError,
        "choose another",
    ),
    (
        errors.UsageError,
        ("not now", LATER),
        {"description": "not now", "hint": LATER},
        RuntimeError,
        "not now; call it later",
    ),
    (
        errors.NoActiveExperimentError,
        ("mark_complete",),
        {"operation": "mark_complete", "problem": "no experiment is active"},
        RuntimeError,
        "or use `with manager.experiment(config) as exp:` and exp's own methods",
    ),
    (
        errors.NoActiveExperimentError,
        ("mark_complete", "2 experiments are active"),
        {"operation": "mark_complete", "problem": "2 experiments are active"},
        RuntimeError,
        "or use `with manager.experiment(config) as exp:` and exp's own methods",
    ),
    (
        errors.ExperimentNotFoundError,
        ("basline", "/data", ["baseline", "base"]),
        {"wanted": "basline", "base_dir": "/data", "nearest": ("baseline", "base")},
        KeyError,
        "did you mean baseline or base?",
    ),
    (
        errors.ExperimentNotFoundError,
        ("basline", "/data"),
        {"wanted": "basline", "base_dir": "/data", "nearest": ()},
        KeyError,
        "list_experiments() shows what is there; check base_dir and RUNBOOK_DIR",
    ),
    (
        errors.ExperimentNotFoundError,
        ("basline", "/data", (), LATER),
        {"wanted": "basline", "base_dir": "/data", "nearest": (), "hint": LATER},
        KeyError,
        "in /data; call it later",
    ),
    (
        errors.AmbiguousExperimentError,
        ("2024", ["2024a", "2024b"]),
        {"wanted": "2024", "candidates": ("2024a", "2024b")},
        KeyError,
        "2024a, 2024b; give more of the id",
    ),
    (
        errors.AmbiguousExperimentError,
        ("2024", [f"2024{letter}" for letter in "abcdefg"]),
        {"wanted": "2024", "candidates": tuple(f"2024{letter}" for letter in "abcdefg")},
        KeyError,
        "2024e and 2 more; give more of the id",
    ),
    (
        errors.BaseDirectoryError,
        ("/data", "is a file"),
        {"path": "/data", "problem": "is a file"},
        OSError,
        "choose another with base_dir= or RUNBOOK_DIR",
    ),
    (
        errors.BaseDirectoryError,
        ("/data", "is a file", LATER),
        {"path": "/data", "problem": "is a file", "hint": LATER},
        OSError,
        "is a file; call it later",
    ),
    (
        errors.TargetExistsError,
        ("/shared/x",),
        {"path": "/shared/x"},
        FileExistsError,
        "remove it or choose another export_path",
    ),
    (
        errors.ReportTargetError,
        ("/reports", "is a folder, and a report is one file"),
        {"path": "/reports", "problem": "is a folder, and a report is one file"},
        OSError,
        "such as report.html",
    ),
    (
        errors.DamagedFileError,
        ("/data/a.json", "it is not JSON"),
        {"path": "/data/a.json", "problem": "it is not JSON"},
        ValueError,
        "restore it from a copy, or move it aside",
    ),
    (
        errors.NewerFormatError,
        ("/data/a.json", 7, 1),
        {"path": "/data/a.json", "version": 7, "supported": 1},
        ValueError,
        "upgrade runbook",
    ),
]


WITHOUT_HINT = {errors.QueryError: "the problem says what to write instead, the same in Python and at a terminal"}
WITHOUT_COMMAND = {
    errors.ConfigError: "only a program has a config object",
    errors.NoActiveExperimentError: "only a program has an experiment to save into",
    errors.ConfigDiffersError: "only a program can go on with an experiment",
}


def classes() -> list[type[RunbookError]]:
    """Every error class of the module but the root."""
    found = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, RunbookError)]
    return [cls for cls in found if cls is not RunbookError]


def test_every_error_is_in_the_table():
    """A new error is tested, too."""
    assert {row[0] for row in TABLE} == set(classes())


@pytest.mark.parametrize(("cls", "args", "facts", "builtin", "hint"), TABLE)
def test_facts_are_attributes(cls, args, facts, builtin, hint):
    """Code that catches it reads the facts from attributes, not from the message."""
    error = cls(*args)
    assert {name: getattr(error, name) for name in facts} == facts


@pytest.mark.parametrize(("cls", "args", "facts", "builtin", "hint"), TABLE)
def test_it_is_caught_by_our_base_and_by_the_builtin(cls, args, facts, builtin, hint):
    """Both `except RunbookError` and the builtin a caller would reach for catch it."""
    for base in (RunbookError, builtin):
        with pytest.raises(base):
            raise cls(*args)


@pytest.mark.parametrize(("cls", "args", "facts", "builtin", "hint"), TABLE)
def test_the_message_shows_what_was_found_and_ends_in_a_hint(cls, args, facts, builtin, hint):
    """What was found, where, and what to do next."""
    message = str(cls(*args))
    assert message.endswith(hint)
    # People count columns from 1.
    first = 1 if cls is errors.QueryError else 0
    said = [fact if isinstance(fact, str) else str(fact + first) for fact in args if isinstance(fact, str | int)]
    assert all(fact in message for fact in said)


@pytest.mark.parametrize(("cls", "args", "facts", "builtin", "hint"), TABLE)
def test_it_has_a_hint_for_python_and_one_for_the_command_line(cls, args, facts, builtin, hint):
    """Or a reason why it has none; the description contains no hint."""
    error = cls(*args)
    if cls in WITHOUT_HINT:
        assert error.hint is None and str(error) == error.description
        return
    assert str(error) == f"{error.description}; {error.hint.python}"
    assert error.hint.python.endswith(hint.rpartition("; ")[2])
    assert (error.hint.command is None) == (cls in WITHOUT_COMMAND)


@pytest.mark.parametrize(("cls", "args", "facts", "builtin", "hint"), TABLE)
def test_the_command_line_shows_the_same_problem_with_its_own_hint(cls, args, facts, builtin, hint):
    """The command line shows its own hint instead of the one for Python; no text is rewritten."""
    error = cls(*args)
    shown = message_of(error)
    if error.hint is None:
        assert shown == str(error)
    else:
        assert shown == f"{error.description}; {error.hint.command or error.hint.python}"


@pytest.mark.parametrize(("cls", "args", "facts", "builtin", "hint"), TABLE)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_it_survives_pickling(cls, args, facts, builtin, hint, protocol):
    """An error keeps its message and facts on its way through a process pool."""
    error = cls(*args)
    again = pickle.loads(pickle.dumps(error, protocol))
    assert type(again) is cls
    assert str(again) == str(error)
    assert again.hint == error.hint
    assert {name: getattr(again, name) for name in facts} == facts


@pytest.mark.parametrize(("cls", "args", "facts", "builtin", "hint"), TABLE)
def test_it_survives_copying(cls, args, facts, builtin, hint):
    """`copy.copy` and `copy.deepcopy` keep message and facts."""
    error = cls(*args)
    for again in (copy.copy(error), copy.deepcopy(error)):
        assert (type(again), str(again)) == (cls, str(error))
        assert {name: getattr(again, name) for name in facts} == facts


@pytest.mark.parametrize(
    "error",
    [errors.ExperimentNotFoundError("a", "base"), errors.AmbiguousExperimentError("a", ["ab", "ac"])],
)
def test_a_key_error_shows_its_message_as_it_is(error):
    """`KeyError` by itself would show the repr of the message, in quotes."""
    assert str(error) == error.args[0]
    assert "\\" not in str(error)


@pytest.mark.parametrize("text", ["a\nb", "'", '"', "\x1b[31m", "\u202e", "ä"])
def test_a_name_in_a_message_is_shown_as_a_literal(text):
    """Text from the caller cannot control the terminal."""
    message = str(errors.InvalidNameError("file name", text, "is odd", "a"))
    assert repr(text) in message


@pytest.mark.parametrize("path_type", ["str", "path"])
def test_a_path_is_kept_as_a_string(tmp_path, path_type):
    """Paths are given as either, and kept so that every process understands them."""
    path = str(tmp_path) if path_type == "str" else tmp_path
    assert errors.DamagedFileError(path, "it is empty").path == str(tmp_path)


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes():
    """The drawing names every class under its right base, with its builtin."""
    drawn: dict[str, tuple[str, str | None]] = {}
    parents = {0: "RunbookError"}
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"^([ │├└─]*)(\w+Error)(?:\s+\((\w+)\))?", line)
        if found is None or found[2] == "RunbookError":
            continue
        depth = len(found[1])
        above = max((level for level in parents if level < depth), default=0)
        parent = parents[above]
        drawn[found[2]] = (parent, found[3])
        parents = {level: name for level, name in parents.items() if level < depth} | {depth: found[2]}

    assert set(drawn) == {cls.__name__ for cls in classes()}
    for cls in classes():
        parent, builtin = drawn[cls.__name__]
        assert cls.__bases__[0].__name__ == parent
        if builtin is None:
            assert cls.__bases__ == (getattr(errors, parent),)
        else:
            assert cls.__bases__[1].__name__ == builtin


def test_the_groups_in_the_docstring_hold_every_error_once():
    """What the caller did, what the world did, what the disk holds: each error stands in one of them."""
    text = errors.__doc__ or ""
    groups = ["what the caller did", "what the world did", "what the disk holds"]
    assert [text.count(group) for group in groups] == [1, 1, 1]
    assert [text.index(group) for group in groups] == sorted(text.index(group) for group in groups)
    for cls in classes():
        assert len(re.findall(rf"\b{cls.__name__}\b", text)) == 1


@pytest.mark.parametrize("cls", classes())
def test_every_error_is_a_public_name(cls):
    """What can be raised can be caught by its name, from the door."""
    assert getattr(runbook, cls.__name__) is cls
    assert cls.__name__ in runbook.__all__


@pytest.mark.parametrize("cls", classes())
def test_every_error_says_in_its_docstring_what_it_keeps(cls):
    """The attributes are written down where the class is."""
    named = re.findall(r"^    (\w+): ", inspect.cleandoc(cls.__doc__ or ""), re.MULTILINE)
    args = next(row[1] for row in TABLE if row[0] is cls)
    error = cls(*args)
    assert all(hasattr(error, name) for name in named)
    assert named or cls in {errors.UsageError, errors.ResumeError, errors.ComparisonError}
