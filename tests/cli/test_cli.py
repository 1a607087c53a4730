"""The command `runbook`: its group, its exit codes, and how it prints."""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys

import click
import pytest
from cli_runner import cli_runner

import runbook
from runbook import errors
from runbook.cli import exit_codes, main
from runbook.read.view import layout_of

COMMANDS = main.list_commands(click.Context(main))
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
STYLE = re.compile(r"\x1b\[[0-9;]*m")
READING = [
    ["ls"],
    ["ls", "--json"],
    ["ls", "--columns", "config,tags,notes,name"],
    ["show", "HOSTILE"],
    ["show", "HOSTILE", "--json"],
    ["why", "HOSTILE"],
    ["why", "HOSTILE", "--json"],
    ["history", "HOSTILE"],
    ["history", "HOSTILE", "--json"],
    ["diff", "HOSTILE", "@1"],
    ["diff", "HOSTILE", "@1", "--json"],
    ["compare", "HOSTILE", "@1"],
    ["compare", "HOSTILE", "@1", "--json"],
    ["compare", "HOSTILE", "@1", "--format", "markdown"],
    ["best", "--metric", "m\x1b[31m", "--maximize", "--status", "failed"],
    ["best", "--metric", "no\x1b[31m\u202e"],
    ["show", "\x1b[2J\u202e"],
    ["watch", "HOSTILE", "--once"],
    ["watch", "HOSTILE", "--json"],
    ["watch", "HOSTILE"],
    ["ls", "a == \x1b[2J"],
    ["\x1b[2J"],
    ["ls", "--\x1b[2J"],
]


# --- the group -------------------------------------------------------------------------------------------------------


def test_alone_it_prints_its_help(run):
    """The name of the program alone shows its commands, and is no error."""
    result = run()
    assert result.exit_code == 0
    assert result.stdout == run("--help").stdout
    for word in ("Exit codes", "130", "141", "RUNBOOK_DIR", "latest", "@1", *COMMANDS):
        assert word in result.stdout


def test_it_says_its_version(run):
    """As every program does."""
    assert run("--version").stdout.split()[-1] == runbook.__version__


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example_and_its_json(name, run):
    """The example is a call of that command."""
    result = run(name, "--help")
    assert result.exit_code == 0
    command = main.get_command(click.Context(main), name)
    assert command.help
    assert f"runbook {name}" in result.stdout.partition("Example:")[2]
    assert "With --json:" in result.stdout
    assert "--dir" in result.stdout
    assert all(option.help for option in command.params if isinstance(option, click.Option))
    assert max(map(len, result.stdout.splitlines())) <= 80


@pytest.mark.parametrize("name", COMMANDS)
def test_the_example_of_a_command_can_be_parsed(name):
    """No example has an unknown option."""
    command = main.get_command(click.Context(main), name)
    lines = [line for line in command.epilog.partition("Example:")[2].splitlines() if f"runbook {name}" in line]
    assert lines
    for line in lines:
        words = line.partition(f"runbook {name}")[2].partition(" | ")[0]
        if "$(" in line:
            words = words.partition(")")[0]
        command.make_context(name, shlex.split(words, comments=True), parent=click.Context(main))


def test_it_imports_only_what_a_command_needs(program, shelf):
    """A listing loads no table library, and no command loads another one."""
    code = "import sys; from runbook.cli import main\ntry: main()\nfinally: print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code, "ls", "-n", "1"],
        env={**os.environ, "RUNBOOK_DIR": str(_base(shelf, program))},
        capture_output=True,
        text=True,
        timeout=60,
    )
    loaded = set(done.stderr.split())
    assert "runbook.cli.commands.ls" in loaded
    assert not loaded & {
        "rich",
        "cattrs",
        "pandas",
        "numpy",
        "runbook.cli.commands.watch",
        "runbook.cli.commands.compare",
    }


def _base(shelf, program) -> str:
    found = program("path", "latest").stdout.strip()
    return os.path.dirname(found)


def test_the_module_is_the_command(program):
    """`python -m runbook` does the same, and has that name in its help."""
    done = program("--help")
    assert done.returncode == 0
    assert "python -m runbook" in done.stdout


# --- where ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [["ls"], ["show"], ["path", "a"], ["why"], ["history"], ["watch", "--once"], ["diff", "a", "b"], ["open"]]
    + [["compare", "a", "b"], ["best", "--metric", "f1"], ["report"]],
)
def test_reading_never_makes_a_base_directory(words, base, run):
    """A mistyped --dir makes no folder, and the message names it."""
    result = run(*words)
    assert result.exit_code == 1
    assert f"no experiments in {base}" in result.stderr
    assert "--dir" in result.stderr
    assert result.stdout == ""
    assert not base.exists()


@pytest.mark.parametrize("words", [["ls"], ["show"], ["path", "a"], ["why"], ["history"], ["watch", "--once"]])
def test_an_empty_base_directory_has_nothing(words, manager, run):
    """It says so and exits with 1."""
    result = run(*words)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert str(manager.base_dir) in result.stderr


@pytest.mark.parametrize(
    "where", [["--dir", "BASE", "path", "a"], ["path", "--dir", "BASE", "a"], ["path", "a", "--dir", "BASE"]]
)
def test_options_for_all_stand_before_and_after_the_verb(base, manager, where):
    """Both positions have the same effect."""
    with manager.experiment({"lr": 1}, name="a") as exp:
        pass
    result = cli_runner().invoke(main, [str(base) if word == "BASE" else word for word in where])
    assert result.stdout == f"{exp.path}\n"
    assert result.exit_code == 0


def test_the_base_directory_is_taken_from_the_environment(manager, base, tmp_path, monkeypatch):
    """`--dir` comes before `RUNBOOK_DIR`."""
    with manager.experiment({"lr": 1}, name="a") as exp:
        pass
    monkeypatch.setenv("RUNBOOK_DIR", str(base))
    assert cli_runner().invoke(main, ["path", "a"]).stdout == f"{exp.path}\n"
    assert cli_runner().invoke(main, ["path", "a", "--dir", str(tmp_path / "none")]).exit_code == 1


def test_a_base_directory_that_is_a_file_is_refused(tmp_path):
    """The message names it."""
    (tmp_path / "file").touch()
    result = cli_runner().invoke(main, ["ls", "--dir", str(tmp_path / "file")])
    assert result.exit_code == 2
    assert "file" in result.stderr


EMPTY = {
    "ls": ([], ["ls", "--status", "running"]),
    "show": (None, ["show", "nothing"]),
    "compare": (None, ["compare", "nothing", "@1"]),
    "diff": (None, ["diff", "@1", "nothing"]),
    "best": (None, ["best", "--metric", "nothing"]),
    "why": (None, ["why", "nothing"]),
    "history": ([], ["history", "nothing"]),
    "watch": ([], ["watch", "nothing"]),
    "path": (None, ["path", "nothing"]),
    "open": (None, ["open", "nothing"]),
    "report": (None, ["report", "nothing"]),
    "note": (None, ["note", "nothing", "text"]),
    "tag": (None, ["tag", "nothing"]),
    "end": (None, ["end", "nothing"]),
    "export": ({"exported", "failed"}, ["export", "nothing", "there"]),
    "import": ({"imported", "failed"}, ["import", "nothing"]),
    "merge": (None, ["merge", "nothing"]),
    "rm": ({"deleted", "failed", "dry_run"}, ["rm", "nothing", "--yes"]),
    "restore": ([], ["restore", "--list"]),
    "guide": ([], ["guide", "--search", "no such word"]),
}
"""What `--json` prints where nothing is found: all of it, or the keys of an object that says what failed."""


@pytest.mark.parametrize("name", EMPTY)
def test_json_is_json_where_nothing_is_found(name, shelf, program, tmp_path):
    """A program that reads it gets a document, `[]` or `null`, beside the exit code and the message."""
    empty, words = EMPTY[name]
    for place in ([], ["--dir", str(tmp_path / "none")]):
        done = program(*words, "--json", *place)
        assert done.returncode == 1, done.stderr
        found = json.loads(done.stdout)
        assert (set(found) if isinstance(empty, set) else found) == empty


def test_every_command_that_finds_is_among_them(program, tmp_path):
    """The rest has nothing to find but the base directory."""
    assert set(COMMANDS) - EMPTY.keys() == {"gc", "doctor", "repair", "completion"}
    for name, empty in (("gc", None), ("doctor", []), ("repair", None)):
        done = program(name, "--json", "--dir", str(tmp_path / "none"))
        assert (done.returncode, json.loads(done.stdout)) == (1, empty)


# --- exit codes -----------------------------------------------------------------------------------------------------


def test_an_unknown_command_is_a_usage_error_with_the_nearest(run):
    """The message suggests the nearest command."""
    result = run("shwo")
    assert result.exit_code == 2
    assert "did you mean show?" in result.stderr
    assert "'runbook --help'" in cli_runner().invoke(main, ["xyzzy"], prog_name="runbook").stderr


@pytest.mark.parametrize(
    ("typed", "meant"), [("delete", "rm"), ("list", "ls"), ("plot", "history"), ("help", "--help")]
)
def test_what_other_programs_call_it_is_understood(typed, meant, run):
    """A word of another program leads to our verb."""
    result = run(typed)
    assert result.exit_code == 2
    assert f"there is no command '{typed}'; did you mean {meant}?" in result.stderr
    assert meant in COMMANDS or meant == "--help"


def test_a_choice_that_is_missing_is_named_on_one_line(run):
    """As people read it, without the tabs of click."""
    assert "Choose from: bash, zsh, fish\n" in run("completion").stderr


def test_a_status_is_no_name(run, shelf):
    """`runbook ls failed` is what many will type."""
    assert "--status failed" in run("ls", "failed").stderr
    assert "--name baseline" in run("ls", "baseline").stderr


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["ls"], 0),
        (["ls", "--status", "running"], 1),
        (["ls", "metrics.test_f1 >"], 2),
        (["ls", "metrics.nothing > 1"], 2),
        (["ls", "--since", "yesterday"], 2),
        (["ls", "--sort", "metrics."], 2),
        (["ls", "--columns", "a b"], 2),
        (["ls", "--status", "nonsense"], 2),
        (["ls", "-n", "-1"], 2),
        (["ls", "--no-such-option"], 2),
        (["show", "nothing-of-the-kind"], 1),
        (["show", "2"], 2),
        (["show", "@99"], 1),
        (["path"], 2),
        (["diff", "@1", "@1"], 0),
        (["diff", "@1", "@2"], 1),
        (["compare", "@1"], 2),
        (["compare"], 2),
        (["compare", "@1", "@2", "--tag", "v1"], 2),
        (["compare", "--tag", "none"], 1),
        (["compare", "@1", "@2", "--metric", "test_f1"], 2),
        (["best", "--metric", "temperature"], 2),
        (["best", "--metric", "nothing"], 1),
        (["best"], 2),
        (["why", "@5"], 1),
        (["history", "@1", "nothing"], 1),
        (["watch", "--once"], 1),
        (["completion", "tcsh"], 2),
    ],
)
def test_exit_codes_are_as_documented(words, code, shelf, program):
    """0 found, 1 nothing or a difference, 2 usage; an error is on stderr, begins with our name, and is no traceback."""
    done = program(*words)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    if code == 2 or (code == 1 and words[0] != "diff"):
        assert done.stderr.startswith("runbook: ")
        assert done.stdout == ""


def test_damage_is_3(shelf, manager, program):
    """A history that cannot be read is neither code 1 nor code 2."""
    layout = layout_of(manager.get_experiment("latest"))
    layout.history.write_text("no JSON\n{}\n")
    done = program("history", "latest")
    assert done.returncode == 3
    assert str(layout.history) in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ExperimentNotFoundError("x", "base"), 1),
        (errors.AmbiguousExperimentError("x", ["xa", "xb"]), 2),
        (errors.DamagedFileError("x", "is torn"), 3),
        (errors.NewerFormatError("x", 2, 1), 3),
        (errors.BundleError("x", None, "is torn"), 3),
        (errors.UsageError("not now"), 2),
        (errors.TargetExistsError("x"), 2),
        (PermissionError(13, "Permission denied", "x"), 3),
        (KeyboardInterrupt(), 130),
        (click.Abort(), 130),
        (click.UsageError("no"), 2),
        (BrokenPipeError(), 141),
    ],
)
def test_each_error_has_its_code(error, code, capfd):
    """Those of the library, those of the system, and those of the command line."""

    def fail():
        raise error

    saved = os.dup(1)
    try:
        assert exit_codes.run_guarded(fail) == code
    finally:
        os.dup2(saved, 1)
        os.close(saved)
    assert ("runbook: " in capfd.readouterr().err) == (code < 100)


WRITING = [["note", "@1", "text"], ["tag", "@1", "keep"], ["rm", "@1", "--yes"], ["repair"], ["end", "@1"]]


@pytest.mark.slow
@pytest.mark.parametrize("words", WRITING, ids=" ".join)
def test_a_base_directory_that_cannot_be_written_to_is_named(words, shelf, base):
    """The message names the base directory and has a hint, without an errno."""
    if not shutil.which("unshare") or subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode != 0:
        pytest.skip("a read-only directory needs a mount namespace")
    mounted = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", mounted, base, sys.executable, "-m", "runbook", "--dir", base, *words],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 3
    assert f"the base directory {base} cannot be written to (Read-only file system)" in done.stderr
    assert "--dir or RUNBOOK_DIR" in done.stderr
    assert "Errno" not in done.stderr


def test_only_errors_in_the_base_directory_are_explained_by_it(tmp_path):
    """Errors of a report elsewhere, or of a file that cannot be read, stay as they are."""
    base = tmp_path / "base"
    base.mkdir()
    refused = exit_codes.not_writable(OSError(errno.EROFS, "no", str(base / ".runbook" / "pending" / "x")), str(base))
    assert refused is not None
    assert (refused.exit_code, str(base) in refused.message) == (3, True)
    for number, path in ((errno.EROFS, tmp_path / "report.html"), (errno.EACCES, base / "x"), (errno.ENOSPC, base)):
        assert exit_codes.not_writable(OSError(number, "no", str(path)), str(base)) is None
    assert exit_codes.not_writable(OSError(errno.EROFS, "no"), str(base)) is None


def test_an_error_of_ours_shows_its_traceback():
    """A bug is not shown as a mistake of the caller."""
    with pytest.raises(ZeroDivisionError):
        exit_codes.run_guarded(lambda: 1 / 0)


# --- printing -------------------------------------------------------------------------------------------------------


def test_a_reader_that_has_seen_enough_is_no_error(shelf, program, tmp_path, base):
    """`runbook ls | head -1` is quiet; the code is that of other programs, 128 + SIGPIPE."""
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-m", "runbook", "ls", "--json"],
            env={**os.environ, "RUNBOOK_DIR": str(base)},
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=60) == 128 + signal.SIGPIPE
        process.stderr.close()


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_nothing_controls_the_terminal(words, shelf, program):
    """Names, settings, metrics, notes and tracebacks from anybody come out as visible characters."""
    done = program(*(shelf["hostile"] if word == "HOSTILE" else word for word in words))
    assert done.stdout + done.stderr != ""
    assert CONTROL.findall(done.stdout + done.stderr) == []
    if "--json" in words:
        json.loads(done.stdout)


@pytest.mark.parametrize("variables", [{"LC_ALL": "C"}, {"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1"}])
@pytest.mark.parametrize(
    "words", [["ls"], ["ls", "--json"], ["show", "ä"], ["history", "ä"], ["diff", "ä", "@2"], ["watch", "--once", "ä"]]
)
def test_any_encoding_will_do(variables, words, manager, program):
    """Characters that a terminal does not know are replaced, and nothing breaks."""
    for seed, name in enumerate(("other", "ä")):
        with manager.experiment({"näme": "日本語 🙂", "seed": seed}, name=name) as exp:
            exp.log({"lö\u0301ss": 1.0})
            exp.log({"lö\u0301ss": 2.0})
            exp.note("\udc80 half")
    done = program(*(exp.id if word == "ä" else word for word in words), **variables)
    assert done.returncode == (1 if words[0] == "diff" else 0), done.stderr
    assert "Traceback" not in done.stderr
    if "--json" in words:
        assert json.loads(done.stdout)[0]["config"] == {"näme": "日本語 🙂", "seed": 1}


@pytest.mark.parametrize("locale", ["C", "POSIX"])
@pytest.mark.parametrize("words", [["history", "@5"], ["watch", "--once", "@5"]])
def test_who_asks_for_the_locale_c_gets_ascii(words, locale, shelf, program):
    """Python itself would write UTF-8 there; variables that set the encoding go before the locale."""
    asked = {"LC_ALL": locale, "PYTHONIOENCODING": "", "PYTHONUTF8": ""}
    assert program(*words, **asked).stdout.isascii()
    assert not program("history", "@5", **asked | {"PYTHONIOENCODING": "utf-8"}).stdout.isascii()


@pytest.mark.parametrize("words", [["ls"], ["compare", "@5", "@4"], ["diff", "@5", "@4"], ["ls", "--json"]])
def test_there_is_no_colour_in_a_pipe(words, shelf, program):
    """Nor in a file; `--color` says otherwise."""
    assert "\x1b" not in program(*words).stdout
    if "--json" not in words and words[0] != "diff":
        assert "\x1b[" in program(*words, "--color").stdout


def test_a_terminal_has_colours_unless_somebody_minds(shelf, terminal, monkeypatch):
    """`NO_COLOR` (https://no-color.org) and `--no-color` turn them off."""
    assert "\x1b[" in terminal("ls")[1]
    assert "\x1b[" not in terminal("ls", "--no-color")[1]
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in terminal("ls")[1]


@pytest.mark.parametrize("columns", [80, 200])
@pytest.mark.parametrize(
    "words",
    [["ls"], ["best", "--metric", "test_f1"], ["compare", "@5", "@4"], ["diff", "@5", "@4"]],
    ids=" ".join,
)
def test_tables_look_alike(words, columns, shelf, terminal):
    """Titles in bold type, a rule from their first letter to their last, then the rows."""
    lines = terminal(*words, columns=columns)[1].splitlines()
    place = next(number for number, line in enumerate(lines) if line and set(line) == {"─"})
    titles = STYLE.sub("", lines[place - 1])
    assert STYLE.sub("", re.sub(r"\x1b\[1m.*?\x1b\[0m", "", lines[place - 1])).strip() == ""
    assert titles.split()
    assert len(titles) <= len(lines[place])
    assert len(STYLE.sub("", lines[place + 1])) <= len(lines[place])


def test_the_titles_of_what_is_shown_are_like_those_of_tables(shelf, terminal):
    """In bold type, and the status has its colour; `--no-color` changes no other character."""
    coloured = terminal("show", shelf["failed"])[1]
    assert "\x1b[31mfailed (exception)\x1b[0m" in coloured
    assert "\x1b[1mconfig\x1b[0m" in coloured
    plain = terminal("show", shelf["failed"], "--no-color")[1]
    assert "\x1b" not in plain
    ages = re.compile(r", (?:just now|\d+ \w+ ago)")
    assert ages.sub("", STYLE.sub("", coloured)) == ages.sub("", plain)


@pytest.mark.parametrize("columns", [80, 200])
@pytest.mark.parametrize(
    "words",
    [["ls"], ["ls", "--columns", "config.lr,tags"], ["show", "@5"], ["show", "@2"], ["why", "@3"], ["diff", "@5", "@3"]]
    + [["compare", "@5", "@4", "@2"], ["best", "--metric", "test_f1"], ["history", "@5"], ["watch", "--once", "@5"]],
    ids=" ".join,
)
def test_it_fits_the_terminal(words, columns, shelf, terminal):
    """No line is wider than the terminal, but for a path or a line of a traceback, which must not be cut."""
    code, shown = terminal(*words, columns=columns)
    assert code in {0, 1}
    plain = STYLE.sub("", shown)
    assert CONTROL.findall(plain) == []
    wide = [line for line in plain.splitlines() if len(line) > columns]
    assert [line for line in wide if "/" not in line] == []
    assert plain.strip()


@pytest.mark.slow
def test_ctrl_c_is_quiet(shelf, base, tmp_path):
    """The exit code is that of a program that Ctrl-C ended, and nothing is printed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "runbook", "watch", "--interval", "0.1"],
        env={**os.environ, "RUNBOOK_DIR": str(base)},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, b"", b"")
