"""The first half hour of a newcomer at a terminal, slips included, on the base directory of `examples/sweep.py`."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path

import attrs
import pytest

SWEEP = Path(__file__).parents[2] / "examples" / "sweep.py"
pytestmark = pytest.mark.skipif(not SWEEP.exists(), reason="the examples are not beside the tests")

COLOURS = re.compile(r"\x1b\[[0-9;]*m")
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
# What rich moves the cursor with while it draws a bar, which is gone in the end.
BAR = re.compile(r"\r\x1b\[2K|\x1b\[2K|\x1b\[1A|\x1b\[\?25[lh]|\r")


@attrs.frozen
class Typed:
    """A line that a newcomer types.

    Attributes:
        line: for the shell.
        code: the exit code that it ends with.
        words: what has to be on the screen afterwards.
        answers: what is typed when it asks.
        needs: a library without which it cannot do its work.
    """

    line: str
    code: int
    words: tuple[str, ...]
    answers: str = ""
    needs: str | None = None


SESSION = [
    Typed("runbook", 0, ("List experiments, newest first.", "Exit codes", "@1")),
    Typed("runbook list", 2, ("there is no command 'list'", "did you mean ls")),
    Typed("runbook ls", 0, ("interrupted", "failed", "completed", "test_f1", "0.8498")),
    Typed("runbook ls 'metrics.f1 > 0.8'", 2, ("no experiment has a field 'metrics.f1'", "test_f1")),
    Typed("runbook ls 'metrics.test_f1 > 0.84'", 0, ("0.8535", "0.8498", "0.8408")),
    Typed("runbook ls 'test_f1 >> 0.84'", 2, ("test_f1 >> 0.84\n           ^", "expected a value after '>'")),
    Typed("runbook ls --status faild", 2, ("'faild' is not one of", "failed")),
    Typed("runbook show latest", 0, ("interrupted (keyboard)", "learning_rate  0.03", "metrics/history.jsonl")),
    Typed("runbook show logerg", 1, ("no experiment 'logerg' in ./experiments", "did you mean logreg?")),
    Typed("runbook why @2", 0, ("FloatingPointError: the loss is nan after epoch 6", "0.3 there, 3000 here")),
    Typed("runbook compare a b", 1, ("no experiment 'a'", "'runbook ls' shows what is there")),
    Typed("runbook compare @3 @7 @11", 0, ("learning_rate", "0.8408*", "the best of its kind")),
    Typed("runbook compare --group-by config", 0, ("p (Holm)", "0.018*", "Small samples (n < 5)"), needs="scipy"),
    Typed("runbook diff @3 @4", 1, ("seed", "0.8339")),
    Typed("runbook best --metric f1", 1, ("did you mean test_f1?",)),
    Typed("runbook best --metric test_f1 -n 1", 0, ("highest test_f1 first", "0.8535")),
    Typed("runbook history @3 loss", 0, ("last 0.3058", "max 0.3621")),
    Typed("cd $(runbook path latest) && ls", 0, ("config.json", "experiment.json", "metrics")),
    Typed("runbook note latest 'stopped it myself'", 0, ("noted",)),
    Typed("runbook tag latest again", 0, ("sweep, again",)),
    Typed("runbook ls --tag again", 0, ("interrupted",)),
    Typed("runbook rm latest", 1, ("interrupted", "[y/N]"), answers="n\n"),
    Typed("runbook rm latest", 0, ("[y/N]", "in the trash"), answers="y\n"),
    Typed("runbook ls --tag again", 1, ("none of the 13 experiments",)),
    Typed("runbook restore logreg", 0, ("restored",)),
    Typed("runbook ls 'notes contains \"myself\"'", 0, ("interrupted",)),
    Typed("runbook report -o nowhere/all.html", 2, ("there is no", "nowhere", "report.html"), needs="plotly"),
    Typed("runbook report -o all.html", 0, ("all.html",), needs="plotly"),
    Typed("runbook export @3 best.zip", 0, ("exported to best.zip",)),
    Typed("runbook import best.zip", 0, ("left out, it is here already",)),
    Typed("runbook watch --once", 1, ("nothing runs in ./experiments",)),
    Typed("runbook doctor", 0, ("no problems",)),
]


@pytest.fixture(scope="module")
def swept(tmp_path_factory) -> Path:
    """The folder in which the sweep has run."""
    folder = tmp_path_factory.mktemp("swept")
    subprocess.run([sys.executable, SWEEP], cwd=folder, env=_environment(folder), check=True, capture_output=True)
    return folder


def _environment(folder: Path) -> dict[str, str]:
    """A newcomer's: `runbook` is on the path, and nothing is set for it."""
    return {
        **os.environ,
        "PATH": os.pathsep.join([str(folder / "bin"), os.environ["PATH"]]),
        "PYTHONIOENCODING": "utf-8",
        "TERM": "xterm-256color",
    }


@pytest.fixture
def project(swept, tmp_path) -> Path:
    """A copy of that folder for one session."""
    folder = tmp_path / "project"
    shutil.copytree(swept, folder)
    (folder / "bin").mkdir()
    command = folder / "bin" / "runbook"
    command.write_text(f'#!{sys.executable}\nfrom runbook.cli import main\nmain(prog_name="runbook")\n')
    command.chmod(0o755)
    return folder


def type_line(typed: Typed, folder: Path, columns: int) -> tuple[int, str]:
    """Type a line into a shell in a pseudo-terminal; the exit code, and what the screen shows."""
    fcntl, pty, termios = (pytest.importorskip(name) for name in ("fcntl", "pty", "termios"))
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    process = subprocess.Popen(
        ["sh", "-c", typed.line],
        cwd=folder,
        env=_environment(folder),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    try:
        deadline = time.monotonic() + 60
        # The other end of a terminal that is closed is an error to Linux.
        with contextlib.suppress(OSError):
            while time.monotonic() < deadline and (more := os.read(ours, 65536)):
                shown += more
                if typed.answers and b"[y/N]" in shown:
                    os.write(ours, typed.answers.encode())
                    typed = attrs.evolve(typed, answers="")
        return process.wait(timeout=60), shown.decode().replace("\r\n", "\n")
    finally:
        process.kill()
        process.wait()
        os.close(ours)


WIDE = re.compile(r"runbook (ls|show|compare|best|history)\b")
"""What looks different on a wide terminal."""


@pytest.mark.slow
@pytest.mark.parametrize("columns", [80, 200])
def test_a_newcomer_finds_the_way(columns, project):
    """Every line ends with the right code and the words that help, fits, controls nothing, and is no traceback."""
    for typed in SESSION:
        if columns > 80 and typed.line.startswith("runbook note"):
            # What follows depends on what a newcomer has changed, and looks alike on every terminal.
            break
        if columns > 80 and (typed.code != 0 or not WIDE.match(typed.line)):
            continue
        if typed.needs is not None and importlib.util.find_spec(typed.needs) is None:
            continue
        code, shown = type_line(typed, project, columns)
        plain = COLOURS.sub("", shown)
        if re.match("runbook (report|export|import)", typed.line):
            plain = BAR.sub("\n", plain)
        assert code == typed.code, f"{typed.line}\n{shown}"
        whole = " ".join(plain.split())
        for words in typed.words:
            assert words in plain or words in whole, f"{typed.line}: {words!r} is not in\n{plain}"
        assert CONTROL.findall(plain) == [], typed.line
        # A path and a message are left to the terminal, which breaks them without losing a character.
        wide = [line for line in plain.splitlines() if len(line) > columns]
        assert [line for line in wide if "/" not in line and not line.startswith("runbook: ")] == [], typed.line
        assert not re.search(r"^Traceback", plain, re.MULTILINE), typed.line
        assert (typed.code != 2) or "runbook: " in plain, typed.line


def test_the_session_is_long_enough_and_full_of_slips():
    """Twenty commands, of every exit code that a newcomer meets."""
    assert len(SESSION) >= 20
    assert {typed.code for typed in SESSION} == {0, 1, 2}
    assert sum(typed.code != 0 for typed in SESSION) >= 8
