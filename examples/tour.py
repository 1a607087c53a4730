"""Run every command and session that README shows, and print the page's blocks with what really comes out.

A block is what stands between fences below a line `<!-- tour -->`: its lines that begin with `$ ` are typed into a
shell in a terminal of 108 columns, those that begin with `>>> ` into Python, in the order of the page and in one empty
folder that holds nothing but `examples/sweep.py`. Below `<!-- tour: live -->` a training runs meanwhile. Nothing is
changed in what is left on the screen but the names of folder, host and kernel, and the spaces at the ends of lines.

    python examples/tour.py                        # shows the blocks
    python examples/tour.py --write README.md      # brings those of the page up to date
"""

import argparse
import code
import contextlib
import fcntl
import io
import os
import platform
import pty
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterator
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parent
COLUMNS = 108
FOLDER, HOST = "/home/you/project", "laptop"
BLOCK = re.compile(r"(?ms)^<!-- tour(?P<live>: live)? -->\n```(?P<language>\w+)\n(?P<body>.*?)^```$")
LIVE = """
import sys, time
from runbook import experiment

with experiment({"learning_rate": 0.03, "seed": 5}, name="long_run") as exp:
    for step in range(40):
        exp.log(loss=1 / (step + 1), step=step)
    exp.progress(10, 100)
    time.sleep(0.6)
    exp.progress(40, 100)
    print("ready", flush=True)
    sys.stdin.read()
"""


def in_a_terminal(command: str, folder: Path, columns: int = COLUMNS) -> str:
    """Run a line of the shell in a terminal of so many columns and return what it shows there."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    process = subprocess.Popen(
        ["bash", "-c", command],
        cwd=folder,
        env=environment(folder),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    # To Linux it is an error to read from a terminal whose other end is closed.
    with contextlib.suppress(OSError):
        while more := os.read(ours, 65536):
            shown += more
    process.wait()
    os.close(ours)
    return on_the_screen(shown.decode())


def on_the_screen(sent: str) -> str:
    """Tell what is left on the screen: what takes over a second draws a bar, and wipes it away in the end."""
    lines, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[\??[0-9;]*[A-Za-z]|[\r\n]|[^\x1b\r\n]+", sent):
        if part == "\n":
            row += 1
            lines += [""] * (row == len(lines))
        elif part == "\r":
            column = 0
        elif part == "\x1b[2K":
            lines[row] = ""
        elif part.startswith("\x1b[") and part.endswith("A"):
            row -= int(part[2:-1] or 1)
        elif not part.startswith("\x1b"):
            lines[row] = lines[row][:column].ljust(column) + part + lines[row][column + len(part) :]
            column += len(part)
    return "\n".join(lines)


def environment(folder: Path) -> dict[str, str]:
    """Return the variables of a newcomer's shell: the place that the page says, and the command on the path."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RUNBOOK_", "COLUMNS", "LINES"))}
    path = os.pathsep.join([str(Path(sys.executable).parent), str(folder / ".bin"), os.environ.get("PATH", "")])
    # No repository around the folder is that of the sweep.
    kept["GIT_CEILING_DIRECTORIES"] = str(folder.parent)
    # The page has its reader do the same, so that what the quickstart has left does not show.
    kept["RUNBOOK_DIR"] = "sweeps"
    return {**kept, "PATH": path, "NO_COLOR": "1", "TERM": "xterm", "TZ": "UTC", "PYTHONIOENCODING": "utf-8"}


@contextlib.contextmanager
def prepared_folder() -> Iterator[Path]:
    """Make a folder with the sweep and nothing else, and remove it afterwards."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        (folder / "examples").mkdir()
        shutil.copy(EXAMPLES / "sweep.py", folder / "examples")
        # Where runbook is on the path of Python alone, and was not installed.
        (folder / ".bin").mkdir()
        (folder / ".bin" / "runbook").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m runbook "$@"\n')
        (folder / ".bin" / "runbook").chmod(0o755)
        yield folder


@contextlib.contextmanager
def training(folder: Path) -> Iterator[None]:
    """Have a training run that is at step 39 and 40 % of its way, and leave no trace of it."""
    process = subprocess.Popen(
        [sys.executable, "-c", LIVE],
        cwd=folder,
        env=environment(folder),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        yield
        process.communicate()
    in_a_terminal("runbook rm long_run --yes && runbook gc --yes", folder)


def shell_session(body: str, folder: Path) -> Iterator[str]:
    """Type the commands of a block; yields each with what it shows."""
    for line in body.splitlines():
        if line.startswith("$ "):
            yield f"{line}\n{in_a_terminal(line[2:], folder)}"


def python_session(body: str, console: code.InteractiveConsole) -> Iterator[str]:
    """Type the statements of a block; yields each line with what it shows."""
    for line in body.splitlines():
        if line.startswith((">>>", "...")):
            with contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.redirect_stderr(shown):
                console.push(line[4:])
            yield f"{line}\n{shown.getvalue()}"


def renewed(page: str) -> Iterator[tuple[re.Match[str], str]]:
    """Run the blocks of a page in their order; yields each with its new text."""
    with prepared_folder() as folder, contextlib.chdir(folder):
        console = code.InteractiveConsole()
        os.environ["RUNBOOK_DIR"] = environment(folder)["RUNBOOK_DIR"]
        for block in BLOCK.finditer(page):
            with training(folder) if block["live"] else contextlib.nullcontext():
                if block["language"] == "pycon":
                    parts = [*python_session(block["body"], console)]
                else:
                    parts = [*shell_session(block["body"], folder)]
            shown = "".join(parts).replace(str(folder), FOLDER).replace(platform.platform(), platform.system())
            shown = re.sub(r"(?m)^(  host +).*$", rf"\1{HOST}", shown)
            body = "".join(f"{line.rstrip()}\n" for line in shown.splitlines())
            yield block, block[0].replace(block["body"], body)


def main() -> None:
    parser = argparse.ArgumentParser(description="Run what README shows.")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put what comes out into this page")
    arguments = parser.parse_args()

    page = (arguments.write or EXAMPLES.parent / "README.md").resolve()
    text = page.read_text(encoding="utf-8")
    parts, end = [], 0
    for block, new in renewed(text):
        if arguments.write is None:
            print(new, flush=True)
        parts += [text[end : block.start()], new]
        end = block.end()
    if arguments.write is not None:
        page.write_text("".join([*parts, text[end:]]), encoding="utf-8")


if __name__ == "__main__":
    main()
