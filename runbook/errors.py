"""Every error that runbook raises.

    RunbookError
    ├── what the caller did
    │   ├── ConfigError               (TypeError)       a config that holds no settings
    │   ├── InvalidNameError          (ValueError)      a name that is no valid file name
    │   ├── UnknownStatusError        (ValueError)      a status that does not exist
    │   ├── UnknownSuffixError        (ValueError)      a file name whose suffix names no format we write
    │   ├── PickleNotAllowedError     (ValueError)      a pickle asked for without allow_pickle=True
    │   ├── QueryError                (ValueError)      a query that cannot be read
    │   ├── ComparisonError           (ValueError)      a comparison that cannot be made
    │   ├── UsageError                (RuntimeError)    a call that is not possible now, or with this argument
    │   │   ├── NoActiveExperimentError                 a save while no experiment is active
    │   │   └── ResumeError                             an experiment that cannot be resumed
    │   │       └── ConfigDiffersError                  … because its config is another one
    │   ├── ExperimentNotFoundError   (KeyError)        no experiment has that id, prefix or name
    │   └── AmbiguousExperimentError  (KeyError)        several experiments have that prefix
    ├── what the world did
    │   ├── BaseDirectoryError        (OSError)         the base directory cannot hold experiments
    │   ├── TargetExistsError         (FileExistsError) an export would overwrite something
    │   ├── ReportTargetError         (OSError)         a report cannot be written to its path
    │   ├── MissingExtraError         (ImportError)     a library that only some calls need is not installed
    │   └── ExperimentExistsError     (FileExistsError) an import would overwrite another experiment
    └── what the disk holds
        ├── DamagedFileError          (ValueError)      a file of ours that cannot be read
        ├── BundleError               (ValueError)      a bundle that is damaged or cannot be made
        └── NewerFormatError          (ValueError)      a file written by a newer runbook

Each error has its facts as attributes and can be pickled. Its message ends in a hint: what to do next in Python. The
command line shows the same description with the hint for the command line.
"""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike, fspath
from typing import TYPE_CHECKING

from runbook.hints import Hint, ask_for, hint_for_both

if TYPE_CHECKING:
    from collections.abc import Sequence


class RunbookError(Exception):
    """The base of every error that runbook raises on purpose.

    Attributes:
        description: what was found, and where.
        hint: what to do next, in Python (`hint.python`) and on the command line (`hint.command`); None if the
            description contains it.
    """

    def __init__(self, description: str, hint: Hint | None = None, facts: tuple[object, ...] | None = None) -> None:
        super().__init__(description if hint is None else f"{description}; {hint.python}")
        self.description = description
        self.hint = hint
        self._facts = (description, hint) if facts is None else facts

    def __str__(self) -> str:
        # KeyError would show the repr of the message, with quotes and escapes.
        return str(self.args[0])

    def __reduce__(self) -> tuple[type[RunbookError], tuple[object, ...]]:
        return type(self), self._facts


class ConfigError(RunbookError, TypeError):
    """A config from which no settings can be read.

    Attributes:
        value_type: the qualified name of the type of the config.
        problem: why it has no settings.
    """

    def __init__(self, value_type: str, problem: str) -> None:
        self.value_type = value_type
        self.problem = problem
        super().__init__(
            f"a config of type {value_type} {problem}",
            Hint("pass a mapping, a dataclass, or any object with attributes", None),
            (value_type, problem),
        )


class InvalidNameError(RunbookError, ValueError):
    """A name that is no valid file name on every system.

    Attributes:
        what: what the name is for, such as `metrics name`.
        name: the name as given.
        problem: why it is not valid.
        suggestion: a name that would be accepted.
    """

    def __init__(self, what: str, name: str, problem: str, suggestion: str) -> None:
        self.what = what
        self.name = name
        self.problem = problem
        self.suggestion = suggestion
        super().__init__(
            f"{what} {name!r} {problem}",
            hint_for_both(f"use for example {suggestion!r}"),
            (what, name, problem, suggestion),
        )


class UnknownStatusError(RunbookError, ValueError):
    """A status that does not exist, or with which no experiment ends.

    Attributes:
        status: the status as given.
        allowed: the statuses that are accepted here.
    """

    def __init__(self, status: str, allowed: Sequence[str]) -> None:
        self.status = status
        self.allowed = tuple(allowed)
        super().__init__(
            f"unknown status {status!r}",
            hint_for_both(f"use one of: {', '.join(self.allowed)}"),
            (status, self.allowed),
        )


class UnknownSuffixError(RunbookError, ValueError):
    """A file name whose suffix names no format that we read or write.

    Attributes:
        filename: the name as given.
        known: the suffixes that are known.
    """

    def __init__(self, filename: str, known: Sequence[str]) -> None:
        self.filename = filename
        self.known = tuple(known)
        super().__init__(
            f"no format is known for the suffix of {filename!r}",
            hint_for_both(f"end the name in one of: {', '.join(self.known)}"),
            (filename, self.known),
        )


class PickleNotAllowedError(RunbookError, ValueError):
    """A pickle was to be loaded without allow_pickle=True; loading one runs code that it contains.

    Attributes:
        path: the file that would have to be unpickled.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = fspath(path)
        super().__init__(
            f"{self.path} is a pickle, and loading a pickle runs code that it contains",
            Hint(
                "pass allow_pickle=True if you trust whoever wrote it",
                "add --allow-pickle if you trust whoever wrote it",
            ),
            (self.path,),
        )


class QueryError(RunbookError, ValueError):
    """A query that cannot be read.

    Attributes:
        text: the query as given.
        column: the position of the problem in the text, 0-based; the length of the text if its end is missing.
        problem: what is wrong there, and what to write instead.
        what: the argument that the text is for, such as `where`, `sort` or `since`.
    """

    _AROUND = 60

    def __init__(self, text: str, column: int, problem: str, what: str = "where") -> None:
        self.text = text
        self.column = column
        self.problem = problem
        self.what = what
        before = text[max(0, column - self._AROUND) : column]
        after = text[column : column + self._AROUND]
        shown_before = ("…" if column > self._AROUND else "") + _escape_unprintable(before)
        shown = shown_before + _escape_unprintable(after) + ("…" if column + self._AROUND < len(text) else "")
        caret = " " * sum(_count_columns(char) for char in shown_before) + "^"
        # People count columns from 1, as editors do.
        where = f"{what} cannot be read at column {column + 1}"
        # Without a hint: the problem names what to write instead, which is the same on the command line.
        super().__init__(f"{where}:\n  {shown}\n  {caret}\n{problem}", None, (text, column, problem, what))


def _escape_unprintable(text: str) -> str:
    # Line breaks are escaped, because the caret on the next line points at a position in this one.
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def _count_columns(char: str) -> int:
    """The number of columns that a character takes on a terminal."""
    import unicodedata

    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


class ComparisonError(RunbookError, ValueError):
    """A comparison that cannot be made of these experiments; the message says what to do instead."""


class MissingExtraError(RunbookError, ImportError):
    """A library that only some calls need is not installed.

    Attributes:
        library: the library that is missing.
        extra: the extra of runbook that installs it.
        purpose: what needs it, as part of a sentence.
    """

    def __init__(self, library: str, extra: str, purpose: str) -> None:
        self.library = library
        self.extra = extra
        self.purpose = purpose
        super().__init__(
            f"{library} is not installed, and {purpose}",
            hint_for_both(f'run: pip install "runbook[{extra}]"'),
            (library, extra, purpose),
        )


class UsageError(RunbookError, RuntimeError):
    """A call that is not possible now, or an argument that has no meaning."""


class NoActiveExperimentError(UsageError):
    """A call needs an active experiment, and there is none, or more than one.

    Attributes:
        operation: the method that was called.
        problem: why there is no experiment for it.
    """

    def __init__(self, operation: str, problem: str = "no experiment is active") -> None:
        self.operation = operation
        self.problem = problem
        super().__init__(
            f"{operation}(): {problem}",
            Hint(
                "call create_experiment(config) first, "
                "or use `with manager.experiment(config) as exp:` and exp's own methods",
                None,
            ),
            (operation, problem),
        )


class ResumeError(UsageError):
    """An experiment that cannot be resumed."""


class ConfigDiffersError(ResumeError):
    """An experiment that was to be resumed with another config than it began with.

    Attributes:
        experiment_id: the experiment.
        changes: the settings that differ, by dotted path: `{"before": …, "now": …}`.
    """

    def __init__(self, experiment_id: str, changes: Mapping[str, object]) -> None:
        self.experiment_id = experiment_id
        self.changes = dict(changes)
        shown = "; ".join(f"{key}: {_describe_change(values)}" for key, values in self.changes.items())
        super().__init__(
            f"{experiment_id} began with another config ({shown})",
            Hint("pass allow_config_change=True to resume it anyway, or resume='never' for a new experiment", None),
            (experiment_id, self.changes),
        )


def _describe_change(values: object) -> str:
    if not isinstance(values, Mapping):
        return repr(values)
    before, now = (repr(values[side]) if side in values else "absent" for side in ("before", "now"))
    return f"{before} before, {now} now"


class ExperimentNotFoundError(RunbookError, KeyError):
    """No experiment has that id, prefix or name.

    Attributes:
        wanted: the id, prefix or name.
        base_dir: the base directory that was searched.
        nearest: the most similar ids or names, most similar first.
    """

    _HINT = Hint(
        "list_experiments() shows what is there; check base_dir and RUNBOOK_DIR",
        "'runbook ls' shows what is there; check --dir and RUNBOOK_DIR",
    )

    def __init__(
        self, wanted: str, base_dir: str | PathLike[str], nearest: Sequence[str] = (), hint: Hint | None = None
    ) -> None:
        self.wanted = wanted
        self.base_dir = fspath(base_dir)
        self.nearest = tuple(nearest)
        super().__init__(
            f"no experiment {wanted!r} in {self.base_dir}",
            hint_for_both(ask_for(self.nearest)) if self.nearest else hint or self._HINT,
            (wanted, self.base_dir, self.nearest, hint),
        )


class AmbiguousExperimentError(RunbookError, KeyError):
    """A prefix with which the ids of several experiments begin.

    Attributes:
        wanted: the prefix.
        candidates: the ids that begin with it.
    """

    _SHOWN = 5

    def __init__(self, wanted: str, candidates: Sequence[str]) -> None:
        self.wanted = wanted
        self.candidates = tuple(candidates)
        shown = ", ".join(self.candidates[: self._SHOWN])
        more = len(self.candidates) - self._SHOWN
        tail = f" and {more} more" if more > 0 else ""
        super().__init__(
            f"{wanted!r} fits {len(self.candidates)} experiments: {shown}{tail}",
            hint_for_both("give more of the id"),
            (wanted, self.candidates),
        )


class BaseDirectoryError(RunbookError, OSError):
    """The base directory cannot hold experiments.

    Attributes:
        path: the base directory as given.
        problem: why it cannot.
    """

    _HINT = Hint("choose another with base_dir= or RUNBOOK_DIR", "choose another with --dir or RUNBOOK_DIR")

    def __init__(self, path: str | PathLike[str], problem: str, hint: Hint | None = None) -> None:
        self.path = fspath(path)
        self.problem = problem
        super().__init__(f"the base directory {self.path} {problem}", hint or self._HINT, (self.path, problem, hint))


class TargetExistsError(RunbookError, FileExistsError):
    """The target of an export exists already.

    Attributes:
        path: the target that exists.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = fspath(path)
        super().__init__(
            f"{self.path} exists already",
            Hint("remove it or choose another export_path", "remove it or choose another target"),
            (self.path,),
        )


class ReportTargetError(RunbookError, OSError):
    """A report that cannot be written to its path.

    Attributes:
        path: the path of the report.
        problem: why it cannot be written there.
    """

    def __init__(self, path: str | PathLike[str], problem: str) -> None:
        self.path = fspath(path)
        self.problem = problem
        super().__init__(
            f"{self.path} {problem}",
            hint_for_both("choose a file in a folder that exists, such as report.html"),
            (self.path, problem),
        )


class ExperimentExistsError(RunbookError, FileExistsError):
    """Another experiment has the id of one that was to be imported.

    Attributes:
        experiment_id: the id that is taken.
        base_dir: the base directory in which it is taken.
    """

    def __init__(self, experiment_id: str, base_dir: str | PathLike[str], hint: Hint | None = None) -> None:
        self.experiment_id = experiment_id
        self.base_dir = fspath(base_dir)
        super().__init__(
            f"there is another experiment {experiment_id} in {self.base_dir}",
            hint
            or Hint(
                "nothing was changed: import with on_conflict='rename' to have both, "
                "or delete_experiment the one that is there first",
                "nothing was changed: import with --on-conflict rename to have both, "
                f"or delete the one that is there first with 'runbook rm {experiment_id}'",
            ),
            (experiment_id, self.base_dir, hint),
        )


class DamagedFileError(RunbookError, ValueError):
    """A file of an experiment that is damaged.

    Attributes:
        path: the file.
        problem: what is wrong with it, and where.
    """

    def __init__(self, path: str | PathLike[str], problem: str) -> None:
        self.path = fspath(path)
        self.problem = problem
        super().__init__(
            f"{self.path} is damaged: {problem}",
            hint_for_both("restore it from a copy, or move it aside"),
            (self.path, problem),
        )


class BundleError(RunbookError, ValueError):
    """A bundle that is damaged or unsafe, or a folder from which no bundle can be made.

    Attributes:
        path: the path of the bundle.
        member: the file in it that is wrong; None if the bundle as a whole is wrong.
        problem: what is wrong.
        remedy: the hint, as text.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        member: str | None,
        problem: str,
        remedy: str = "nothing was imported; export the experiment anew and import that",
    ) -> None:
        self.path = fspath(path)
        self.member = member
        self.problem = problem
        self.remedy = remedy
        where = self.path if member is None else f"{self.path}: {member!r}"
        super().__init__(f"{where} {problem}", hint_for_both(remedy), (self.path, member, problem, remedy))


class NewerFormatError(RunbookError, ValueError):
    """A file that a newer runbook wrote; it is not changed.

    Attributes:
        path: the file.
        version: the format version of the file.
        supported: the newest version that this runbook writes.
    """

    def __init__(self, path: str | PathLike[str], version: int, supported: int) -> None:
        self.path = fspath(path)
        self.version = version
        self.supported = supported
        super().__init__(
            f"{self.path} has format version {version}, this runbook knows up to {supported}",
            hint_for_both("upgrade runbook"),
            (self.path, version, supported),
        )
