"""Run the blocks of README and of the guide, and print the pages' sessions with what really comes out.

Each page is run alone, from the top to the bottom, in an empty folder that holds only `examples/sweep.py`:

- A block `python` whose first line is a comment such as `# train.py` is saved as that file.
- Every other block `python` is executed, all of a page in one interpreter.
- In a block `console`, each line that begins with `$ ` is typed into a shell in a terminal of 108 columns.
- In a block `pycon`, each line that begins with `>>> ` or `... ` is typed into the interpreter of the page.
- Below a line `<!-- tour: live -->`, a training runs meanwhile.

The other blocks are not run. In what is left on the screen, the names of folder, host and kernel are replaced, and
spaces at the ends of lines are removed.

    python examples/tour.py                                  # shows the sessions of all pages
    python examples/tour.py --write                          # brings all pages up to date
    python examples/tour.py --write runbook/guide/query.md   # brings one page up to date
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
BLOCK = re.compile(r"(?ms)^(?P<live><!-- tour: live -->\n)?```(?P<language>python|console|pycon)\n(?P<body>.*?)^```$")
PROGRAM = re.compile(r"# (?P<name>\w+\.py)\n")
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
    """Return the variables of a newcomer's shell: none of runbook, and the command on the path."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RUNBOOK_", "COLUMNS", "LINES"))}
    path = os.pathsep.join([str(Path(sys.executable).parent), str(folder / ".bin"), os.environ.get("PATH", "")])
    # No repository around the folder is that of the sweep.
    kept["GIT_CEILING_DIRECTORIES"] = str(folder.parent)
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
    lines = body.splitlines()
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if line.startswith((">>>", "...")):
            with contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.redirect_stderr(shown):
                # The empty line that ends a compound statement is typed, but not shown.
                if console.push(line[4:]) and not following.startswith("..."):
                    console.push("")
            yield f"{line}\n{shown.getvalue()}"


def run_program(body: str, folder: Path, console: code.InteractiveConsole) -> None:
    """Save a block of Python as the file that it names, or execute it."""
    program = PROGRAM.match(body)
    if program is not None:
        (folder / program["name"]).write_text(body, encoding="utf-8")
        return
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        exec(compile(body, "<block>", "exec"), console.locals)  # noqa: S102 - the pages are ours


def renewed(page: str) -> Iterator[tuple[re.Match[str], str]]:
    """Run the blocks of a page in their order; yields each with its new text."""
    with prepared_folder() as folder, contextlib.chdir(folder):
        console = code.InteractiveConsole({"__name__": "__main__"})
        os.environ.pop("RUNBOOK_DIR", None)
        sys.argv = ["train.py"]
        for block in BLOCK.finditer(page):
            parts: list[str] = []
            with training(folder) if block["live"] else contextlib.nullcontext():
                if block["language"] == "python":
                    run_program(block["body"], folder, console)
                    continue
                if block["language"] == "pycon":
                    parts += python_session(block["body"], console)
                else:
                    parts += shell_session(block["body"], folder)
            shown = "".join(parts).replace(str(folder), FOLDER).replace(platform.platform(), platform.system())
            shown = re.sub(r"(?m)^(  host +).*$", rf"\1{HOST}", shown)
            body = "".join(f"{line.rstrip()}\n" for line in shown.splitlines())
            yield block, block[0].replace(block["body"], body)


def run_page(page: Path, *, write: bool) -> None:
    """Run one page, and print its sessions or put them into it."""
    page = page.resolve()
    text = page.read_text(encoding="utf-8")
    parts, end = [], 0
    for block, new in renewed(text):
        if not write:
            print(new, flush=True)
        parts += [text[end : block.start()], new]
        end = block.end()
    if write:
        page.write_text("".join([*parts, text[end:]]), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Run what README and the guide show.")
    parser.add_argument("pages", type=Path, nargs="*", metavar="PAGE", help="default: README and the whole guide")
    parser.add_argument("--write", action="store_true", help="put what comes out into the pages")
    arguments = parser.parse_args()

    root = EXAMPLES.parent
    pages = arguments.pages or [root / "README.md", *sorted((root / "runbook" / "guide").glob("*.md"))]
    if len(pages) == 1:
        run_page(pages[0], write=arguments.write)
        return
    for page in pages:
        # Each page has an interpreter of its own, so that none needs what another one has done.
        command = [sys.executable, __file__, *(["--write"] if arguments.write else []), str(page)]
        if subprocess.run(command, check=False).returncode:
            sys.exit(f"{page} does not run")


if __name__ == "__main__":
    main()
