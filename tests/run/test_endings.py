"""The ending that each exception and signal means."""

from __future__ import annotations

import asyncio
import concurrent.futures.process
import contextlib
import json
import signal
import sys
import traceback
from pathlib import Path

import pytest

import runbook
from runbook.record.status import EndReason, Status
from runbook.run import endings
from runbook.run.endings import classify, comes_from, describe_failure

COMPLETED, FAILED, INTERRUPTED = Status.COMPLETED, Status.FAILED, Status.INTERRUPTED


class Cancelled(BaseException):
    """Like trio's, which shares no base with asyncio's."""


class MyError(Exception):
    pass


class MyExit(SystemExit):
    pass


class MyKeyboard(KeyboardInterrupt):
    pass


class MyCancelled(asyncio.CancelledError):
    pass


class MyGroup(ExceptionGroup):
    pass


def raised(error: BaseException) -> BaseException:
    """The same error after it was raised and caught, with a traceback."""
    try:
        raise error
    except BaseException as caught:
        return caught


def while_handling(cause: BaseException, error: BaseException) -> BaseException:
    """An error raised while another was being handled."""
    try:
        try:
            raise cause
        except BaseException:
            raise error
    except BaseException as caught:
        return caught


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (None, COMPLETED, EndReason.RETURNED),
        (ValueError("x"), FAILED, EndReason.EXCEPTION),
        (MyError(), FAILED, EndReason.EXCEPTION),
        (AssertionError(), FAILED, EndReason.EXCEPTION),
        (MemoryError(), FAILED, EndReason.EXCEPTION),
        (RecursionError("deep"), FAILED, EndReason.EXCEPTION),
        (OSError(28, "No space left on device"), FAILED, EndReason.EXCEPTION),
        (TimeoutError(), FAILED, EndReason.EXCEPTION),
        (StopIteration(3), FAILED, EndReason.EXCEPTION),
        (StopAsyncIteration(), FAILED, EndReason.EXCEPTION),
        (Warning("as an error"), FAILED, EndReason.EXCEPTION),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), FAILED, EndReason.EXCEPTION),
        (BaseException("bare"), FAILED, EndReason.EXCEPTION),
        (concurrent.futures.CancelledError(), FAILED, EndReason.EXCEPTION),
        (concurrent.futures.TimeoutError(), FAILED, EndReason.EXCEPTION),
        (concurrent.futures.process.BrokenProcessPool("died"), FAILED, EndReason.EXCEPTION),
        (KeyboardInterrupt(), INTERRUPTED, EndReason.KEYBOARD),
        (MyKeyboard("twice"), INTERRUPTED, EndReason.KEYBOARD),
        (asyncio.CancelledError(), INTERRUPTED, EndReason.CANCELLED),
        (asyncio.CancelledError("why"), INTERRUPTED, EndReason.CANCELLED),
        (MyCancelled(), INTERRUPTED, EndReason.CANCELLED),
        (Cancelled(), INTERRUPTED, EndReason.CANCELLED),
        (GeneratorExit(), INTERRUPTED, EndReason.CLOSED),
    ],
    ids=repr,
)
def test_each_kind_of_exception_has_its_ending(error, status, reason):
    """An error fails, an interruption from outside interrupts, and no exception completes."""
    ending = classify(error)
    assert (ending.status, ending.reason) == (status, reason)
    assert (ending.failure is not None) == (status is FAILED)


@pytest.mark.parametrize(
    ("code", "status", "reason"),
    [
        (0, COMPLETED, EndReason.EXIT),
        (None, COMPLETED, EndReason.EXIT),
        (False, COMPLETED, EndReason.EXIT),
        (True, FAILED, EndReason.EXIT),
        (1, FAILED, EndReason.EXIT),
        (3, FAILED, EndReason.EXIT),
        (-1, FAILED, EndReason.EXIT),
        (-15, FAILED, EndReason.EXIT),
        (127, FAILED, EndReason.EXIT),
        (128, FAILED, EndReason.EXIT),
        (255, FAILED, EndReason.EXIT),
        (256, FAILED, EndReason.EXIT),
        (2**70, FAILED, EndReason.EXIT),
        ("", FAILED, EndReason.EXIT),
        ("text", FAILED, EndReason.EXIT),
        ("0", FAILED, EndReason.EXIT),
        ((0,), FAILED, EndReason.EXIT),
        ([], FAILED, EndReason.EXIT),
        (MyError("as a code"), FAILED, EndReason.EXIT),
        (129, INTERRUPTED, EndReason.SIGHUP),
        (130, INTERRUPTED, EndReason.KEYBOARD),
        (137, INTERRUPTED, EndReason.SIGNAL),
        (143, INTERRUPTED, EndReason.SIGTERM),
    ],
    ids=repr,
)
def test_each_exit_code_has_its_ending(code, status, reason):
    """Code 0 or none completes, 128 + n is a signal, and every other one fails."""
    ending = classify(SystemExit(code))
    assert (ending.status, ending.reason) == (status, reason)
    assert (ending.failure is not None) == (status is FAILED)


class Zero:
    def __eq__(self, other):
        return True

    __hash__ = None


@pytest.mark.parametrize("code", [0.0, 0j, Zero()], ids=["float", "complex", "an object"])
def test_a_code_that_only_equals_zero_fails_as_the_interpreter_does(code):
    """Python exits with 1 for every code that is no int, so the experiment did not complete."""
    assert classify(SystemExit(code)).status is FAILED


def test_a_numpy_code_is_no_int_for_the_interpreter_either():
    """`sys.exit(np.int64(0))` prints the zero and exits with 1; an array cannot be compared at all."""
    numpy = pytest.importorskip("numpy", reason="numpy is not installed")
    assert classify(SystemExit(numpy.int64(0))).status is FAILED
    assert classify(SystemExit(numpy.array([0, 0]))).status is FAILED


@pytest.mark.parametrize("args", [(), (None,)], ids=["no arguments", "None"])
def test_exit_without_a_code_completes(args):
    """`raise SystemExit` and `sys.exit()` are exits with code 0."""
    assert classify(SystemExit(*args)).status is COMPLETED


def test_exit_with_several_arguments_fails():
    """Python takes them as one tuple and exits with 1."""
    assert classify(SystemExit(0, 1)).status is FAILED


def test_a_subclass_of_exit_is_an_exit():
    """Frameworks exit with their own classes."""
    assert classify(MyExit(0)).reason is EndReason.EXIT
    assert classify(MyExit(3)).status is FAILED


@pytest.mark.parametrize("code", [1, 2, "stopped by user"], ids=repr)
def test_an_exit_while_handling_ctrl_c_is_ctrl_c(code):
    """Lightning turns Ctrl-C into sys.exit(1)."""
    ending = classify(while_handling(KeyboardInterrupt(), SystemExit(code)))
    assert (ending.status, ending.reason, ending.failure) == (INTERRUPTED, EndReason.KEYBOARD, None)


def test_an_exit_because_of_ctrl_c_is_ctrl_c():
    """`raise SystemExit(1) from interrupt`, and through another error in between."""
    error = SystemExit(1)
    error.__cause__ = MyError()
    error.__cause__.__context__ = KeyboardInterrupt()
    assert classify(error).reason is EndReason.KEYBOARD


def test_an_exit_while_handling_an_error_fails():
    """`except Exception: sys.exit(1)` is a failure of the program."""
    ending = classify(while_handling(MyError("the reason"), SystemExit(1)))
    assert (ending.status, ending.reason) == (FAILED, EndReason.EXIT)
    assert "the reason" in ending.failure.traceback


def test_an_error_while_handling_ctrl_c_is_an_error():
    """A cleanup that fails after Ctrl-C counts as failed; its traceback shows both exceptions."""
    ending = classify(while_handling(KeyboardInterrupt(), MyError("cleanup broke")))
    assert (ending.status, ending.reason) == (FAILED, EndReason.EXCEPTION)
    assert "KeyboardInterrupt" in ending.failure.traceback


@pytest.mark.parametrize(
    ("group", "status", "reason"),
    [
        (ExceptionGroup("g", [ValueError()]), FAILED, EndReason.EXCEPTION),
        (MyGroup("g", [ValueError(), KeyError()]), FAILED, EndReason.EXCEPTION),
        (ExceptionGroup("g", [ExceptionGroup("h", [OSError()])]), FAILED, EndReason.EXCEPTION),
        (BaseExceptionGroup("g", [KeyboardInterrupt()]), INTERRUPTED, EndReason.KEYBOARD),
        (BaseExceptionGroup("g", [KeyboardInterrupt(), asyncio.CancelledError()]), INTERRUPTED, EndReason.KEYBOARD),
        (BaseExceptionGroup("g", [asyncio.CancelledError()]), INTERRUPTED, EndReason.CANCELLED),
        (BaseExceptionGroup("g", [BaseExceptionGroup("h", [Cancelled()])]), INTERRUPTED, EndReason.CANCELLED),
        (BaseExceptionGroup("g", [SystemExit(143)]), INTERRUPTED, EndReason.SIGTERM),
        (BaseExceptionGroup("g", [KeyboardInterrupt(), ValueError()]), FAILED, EndReason.EXCEPTION),
        (BaseExceptionGroup("g", [asyncio.CancelledError(), ValueError()]), FAILED, EndReason.EXCEPTION),
        (BaseExceptionGroup("g", [SystemExit(0)]), FAILED, EndReason.EXCEPTION),
        (BaseExceptionGroup("g", [SystemExit(0), KeyboardInterrupt()]), FAILED, EndReason.EXCEPTION),
    ],
    ids=repr,
)
def test_a_group_is_interrupted_only_if_all_of_it_is(group, status, reason):
    """One real error among the cancellations is what counts."""
    ending = classify(group)
    assert (ending.status, ending.reason) == (status, reason)


def test_a_group_is_described_with_every_member():
    """What went wrong in each task is in the record."""
    failure = describe_failure(raised(ExceptionGroup("two tasks", [ValueError("first"), KeyError("second")])))
    assert failure.type == "ExceptionGroup"
    assert "two tasks" in failure.message
    assert "first" in failure.traceback
    assert "second" in failure.traceback


@pytest.mark.parametrize(
    "inner", [KeyboardInterrupt, asyncio.CancelledError, ValueError], ids=lambda kind: kind.__name__
)
def test_groups_nested_beyond_the_recursion_limit_do_not_break_the_closing(inner):
    """Each exception has an ending."""
    error = inner()
    for _ in range(3 * sys.getrecursionlimit()):
        error = BaseExceptionGroup("g", [error])
    try:
        ending = classify(error)
        assert ending.status in {FAILED, INTERRUPTED}
    finally:
        # Freed from the outside in: the interpreter's own recursion would overflow on some versions.
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]


# Signals


@pytest.mark.parametrize(
    ("signum", "reason"),
    [
        (signal.SIGINT, EndReason.KEYBOARD),
        (signal.SIGTERM, EndReason.SIGTERM),
        pytest.param(getattr(signal, "SIGHUP", 1), EndReason.SIGHUP, marks=pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGHUP")),
        (signal.SIGABRT, EndReason.SIGNAL),
        (signal.SIGSEGV, EndReason.SIGNAL),
        (9999, EndReason.SIGNAL),
        (0, EndReason.SIGNAL),
    ],
)  # fmt: skip
def test_each_signal_interrupts(signum, reason):
    """A signal never fails an experiment and never completes one."""
    ending = endings.ending_of_signal(signum)
    assert (ending.status, ending.reason, ending.failure) == (INTERRUPTED, reason, None)


@pytest.mark.parametrize(
    "error", [SystemExit(0), SystemExit(143), asyncio.CancelledError(), GeneratorExit(), SystemExit(None)], ids=repr
)
def test_what_a_signal_turned_into_is_the_signal(error):
    """Asyncio cancels its tasks on a signal, and a host's handler may call sys.exit(0)."""
    ending = classify(error, signal.SIGTERM)
    assert (ending.status, ending.reason) == (INTERRUPTED, EndReason.SIGTERM)


def test_a_signal_that_arrived_does_not_hide_an_error():
    """The host went on after the signal, and then something broke."""
    ending = classify(raised(MyError("later")), signal.SIGTERM)
    assert (ending.status, ending.reason) == (FAILED, EndReason.EXCEPTION)


def test_a_signal_that_arrived_does_not_hide_a_return():
    """The host handled the signal, and the block came to its end."""
    assert classify(None, signal.SIGTERM) == endings.RETURNED


def test_ctrl_c_after_another_signal_is_ctrl_c():
    """A SIGHUP that the host took as "read your settings again" did not end what Ctrl-C ended."""
    assert classify(KeyboardInterrupt(), signal.SIGTERM).reason is EndReason.KEYBOARD


def test_comes_from_follows_causes_and_contexts():
    """The chain is followed from the error to its origin, never the other way round."""
    origin = MyError("origin")
    later = while_handling(origin, ValueError())
    assert comes_from(later, origin)
    assert comes_from(origin, origin)
    assert not comes_from(origin, later)
    assert not comes_from(None, origin)
    assert not comes_from(later, None)
    assert not comes_from(ValueError(), origin)


def test_a_suppressed_context_still_tells_where_an_error_comes_from():
    """`raise … from None` hides the origin from the reader, not from the record."""
    origin = MyError()
    with contextlib.suppress(ValueError):
        try:
            raise origin
        except MyError:
            later = ValueError()
            raise later from None
    assert comes_from(later, origin)


def test_both_the_cause_and_the_context_are_looked_at():
    """Ctrl-C is in the context of an exit whose declared cause is something else."""
    try:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as interrupt:
            origin = interrupt
            raise SystemExit(1) from MyError("declared")
    except SystemExit as caught:
        error = caught
    assert comes_from(error, origin)
    assert classify(error).reason is EndReason.KEYBOARD


# Hostile exceptions


def make_cycle(length: int) -> BaseException:
    errors = [MyError(str(n)) for n in range(length)]
    for error, following in zip(errors, errors[1:] + errors[:1], strict=True):
        error.__context__ = following
    return errors[0]


@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize("outer", [SystemExit(1), MyError("outer")], ids=repr)
def test_a_cycle_of_contexts_ends(length, outer):
    """A chain of exceptions may contain a cycle."""
    outer = type(outer)(*outer.args)
    outer.__context__ = make_cycle(length)
    ending = classify(outer)
    assert ending.status is FAILED
    assert not comes_from(outer, ValueError())


def test_an_exception_that_is_its_own_cause_is_described():
    """The text of the traceback stays finite."""
    error = MyError("snake")
    error.__cause__ = error
    assert classify(error).failure.message == "snake"


def test_a_chain_of_thousands_is_described():
    """A very long chain of exceptions is recorded all the same."""
    error = MyError("0")
    for number in range(1, 3000):
        following = MyError(str(number))
        following.__context__ = error
        error = following
    failure = classify(error).failure
    assert failure.message == "2999"
    assert failure.traceback
    while error is not None:
        error.__context__, error = None, error.__context__


class Unprintable(Exception):
    def __str__(self):
        raise MyError("no text today")


class Unreadable(Exception):
    def __str__(self):
        return 42  # noqa: PLE0307


class ExitsWhenPrinted(Exception):
    def __str__(self):
        return sys.exit(3)


class StopsWhenPrinted(Exception):
    def __str__(self):
        raise Cancelled


class Endless(Exception):
    def __str__(self):
        return str(self)


class Falsy(Exception):
    def __bool__(self):
        raise MyError("neither true nor false")


class Equal(Exception):
    def __eq__(self, other):
        raise MyError("not to be compared")

    __hash__ = None


class NoAttributes(Exception):
    def __getattribute__(self, name):
        if name.startswith("__") and name not in {"__notes__", "__suppress_context__"}:
            return super().__getattribute__(name)
        raise MyError(name)


class BadNotes(Exception):
    def __init__(self):
        super().__init__("with notes")
        self.__notes__ = 3


class LyingNotes(Exception):
    def __init__(self):
        super().__init__("with notes")
        self.__notes__ = ["fine", Unprintable(), None]


HOSTILE = [
    Unprintable,
    Unreadable,
    ExitsWhenPrinted,
    StopsWhenPrinted,
    Endless,
    Falsy,
    Equal,
    NoAttributes,
    BadNotes,
    LyingNotes,
]


@pytest.mark.parametrize("kind", HOSTILE, ids=lambda kind: kind.__name__)
def test_a_hostile_exception_is_described(kind):
    """An error in an exception's own methods is not raised by the description."""
    ending = classify(raised(kind()))
    assert (ending.status, ending.reason) == (FAILED, EndReason.EXCEPTION)
    assert ending.failure.type.endswith(kind.__name__)
    assert isinstance(ending.failure.message, str)
    assert kind.__name__ in ending.failure.traceback


@pytest.mark.parametrize("kind", HOSTILE, ids=lambda kind: kind.__name__)
def test_a_hostile_exception_in_the_chain_is_survived(kind):
    """It may be the context of an exit, or its cause."""
    error = while_handling(kind(), SystemExit(1))
    assert (classify(error).status, classify(error).reason) == (FAILED, EndReason.EXIT)
    error.__cause__ = kind()
    assert (classify(error).status, classify(error).reason) == (FAILED, EndReason.EXIT)


@pytest.mark.parametrize("kind", HOSTILE, ids=lambda kind: kind.__name__)
def test_a_hostile_exception_in_a_group_is_survived(kind):
    """A group asks each of its members."""
    assert classify(raised(ExceptionGroup("g", [kind()]))).status is FAILED


class HostileExit(SystemExit):
    @property
    def code(self):
        raise MyError("no code")


def test_an_exit_that_does_not_tell_its_code_fails():
    """The interpreter exits with 1 then."""
    assert classify(raised(HostileExit())).status is FAILED


def test_a_falsy_cause_is_not_mistaken_for_none():
    """An exception with a length is falsy while it is empty."""

    class Empty(Exception):
        def __len__(self):
            return 0

    cause = Empty()
    cause.__context__ = KeyboardInterrupt()
    error = SystemExit(1)
    error.__cause__ = cause
    error.__context__ = ValueError("another")
    assert classify(error).reason is EndReason.KEYBOARD


@pytest.mark.parametrize(
    "text",
    ["\ud800 lone", "\udcff from a file name", "nul \0 inside", "\x1b[31mred", "\u202e right to left", "ünïcödé 🎉"],
    ids=ascii,
)
def test_any_text_can_be_written_as_utf_8(text):
    """What the record and traceback.txt hold can be encoded, whatever the message was."""
    failure = describe_failure(raised(MyError(text)))
    json.dumps([failure.message, failure.traceback], ensure_ascii=False).encode()
    assert failure.message
    assert "MyError" in failure.traceback


def test_a_plain_message_is_kept_as_it_is():
    """Escapes are for what cannot be written, not for umlauts."""
    assert describe_failure(MyError("Größe 🎉")).message == "Größe 🎉"


def test_a_huge_message_is_cut_and_says_its_type():
    """A message of megabytes (a repr of a tensor, a page of HTML) does not blow up the record."""
    failure = describe_failure(raised(MyError("x" * 5_000_000)))
    assert len(failure.message) <= 100_000
    assert failure.message.startswith("xxx")


def test_a_huge_traceback_is_bounded():
    """The record is read with each listing and rewritten with each note; it cannot hold megabytes of traceback."""
    failure = describe_failure(raised(MyError("x" * 5_000_000)))
    assert len(failure.traceback) <= 1_000_000


def test_a_recursion_error_is_described():
    """Its thousand equal lines are folded, and the beginning and the end are there."""

    def dive():
        return dive()

    with pytest.raises(RecursionError) as caught:
        dive()
    failure = describe_failure(caught.value)
    assert failure.type == "RecursionError"
    assert "dive" in failure.traceback
    assert "maximum recursion depth" in failure.message


def test_types_are_qualified_unless_builtin():
    """The name of the class alone could be that of several libraries."""
    assert describe_failure(ValueError("x")).type == "ValueError"
    assert describe_failure(json.JSONDecodeError("m", "d", 0)).type == "json.decoder.JSONDecodeError"
    assert describe_failure(MyError()).type == f"{__name__}.MyError"


def test_a_type_without_a_module_is_described():
    """Classes made at run time may carry anything as their module."""
    kind = type("Odd", (Exception,), {"__module__": None})
    assert "Odd" in describe_failure(raised(kind("x"))).type


def test_notes_are_in_the_traceback():
    """Programs add context to an exception by `add_note`."""
    error = MyError("x")
    error.add_note("while fitting fold 3")
    assert "while fitting fold 3" in describe_failure(error).traceback


def test_the_cause_is_in_the_traceback():
    """The record has the whole chain of exceptions, as the terminal shows it."""
    text = describe_failure(while_handling(KeyError("the root"), ValueError("on top"))).traceback
    assert "the root" in text
    assert "During handling of the above exception" in text


# Whose frames


def _run(code: str, filename: str, **names: object) -> BaseException:
    try:
        exec(compile(code, filename, "exec"), names)
    except BaseException as error:
        return error
    raise AssertionError("it did not raise")


def test_our_own_frames_at_the_top_are_left_out():
    """The traceback begins in the user's function, not in the wrapper around it."""
    folder = Path(runbook.__file__).parent
    user = "def train():\n    raise ValueError('boom')\n"
    names: dict[str, object] = {}
    exec(compile(user, "train.py", "exec"), names)
    error = _run("def wrapper():\n    call()\nwrapper()\n", str(folder / "wrapping.py"), call=names["train"])
    error.__traceback__ = error.__traceback__.tb_next
    text = describe_failure(error).traceback
    assert "wrapping.py" not in text
    assert 'File "train.py"' in text


def test_our_own_frames_further_down_stay():
    """An error that arises in our own code, called by the user, shows where."""
    folder = Path(runbook.__file__).parent
    names: dict[str, object] = {}
    exec(compile("def save():\n    raise OSError('full')\n", str(folder / "files.py"), "exec"), names)
    error = _run("save()\n", "train.py", save=names["save"])
    error.__traceback__ = error.__traceback__.tb_next
    text = describe_failure(error).traceback
    assert text.index('File "train.py"') < text.index("files.py")


def test_a_traceback_of_our_frames_alone_stays():
    """A traceback of our own frames only is kept whole."""
    folder = Path(runbook.__file__).parent
    error = _run("raise ValueError('ours')\n", str(folder / "wrapping.py"))
    error.__traceback__ = error.__traceback__.tb_next
    assert "wrapping.py" in describe_failure(error).traceback


@pytest.mark.parametrize("neighbour", ["{folder}_plugin/train.py", "{folder}-experiments/train.py", "{folder}_demo.py"])
def test_a_neighbour_of_our_folder_is_the_users(neighbour):
    """A user's file whose path only begins like ours is not taken for ours."""
    filename = neighbour.format(folder=Path(runbook.__file__).parent)
    names: dict[str, object] = {}
    exec(compile("def inner():\n    raise ValueError('boom')\n", "inner.py", "exec"), names)
    error = _run("inner()\n", filename, inner=names["inner"])
    error.__traceback__ = error.__traceback__.tb_next
    assert filename in describe_failure(error).traceback


def test_describing_changes_nothing_in_the_exception():
    """It belongs to the user, and is not changed."""
    error = while_handling(KeyError("k"), ValueError("v"))
    before = (error.__traceback__, error.__context__, error.__cause__, error.__suppress_context__, error.args)
    text = traceback.format_exception(error)
    classify(error)
    assert (error.__traceback__, error.__context__, error.__cause__, error.__suppress_context__, error.args) == before
    assert traceback.format_exception(error) == text


# The end of the interpreter


@pytest.fixture
def last_error(monkeypatch):
    """Sets what the interpreter remembers of an uncaught exception."""
    for name in ("last_exc", "last_value", "ps1"):
        monkeypatch.delattr(sys, name, raising=False)

    def remember(error: BaseException) -> None:
        monkeypatch.setattr(sys, "last_value", error, raising=False)
        if sys.version_info >= (3, 12):
            monkeypatch.setattr(sys, "last_exc", error, raising=False)

    return remember


def test_an_exit_that_nobody_explained_is_abandoned(last_error):
    """Without `mark_complete` nothing is completed."""
    assert endings.ending_at_exit() == endings.ABANDONED


def test_an_uncaught_error_is_seen_at_exit(last_error):
    """The interpreter has printed the exception and exits."""
    last_error(raised(MyError("uncaught")))
    ending = endings.ending_at_exit()
    assert (ending.status, ending.failure.message) == (FAILED, "uncaught")


def test_an_uncaught_ctrl_c_is_seen_at_exit(last_error):
    """Ctrl-C between `create_experiment` and `mark_complete`."""
    last_error(raised(KeyboardInterrupt()))
    assert endings.ending_at_exit().reason is EndReason.KEYBOARD


def test_an_old_error_at_a_prompt_is_not_what_ended_it(last_error, monkeypatch):
    """In a notebook the last exception may be hours old."""
    last_error(raised(MyError("an hour ago")))
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    assert endings.ending_at_exit() == endings.ABANDONED
