"""What is measured: each operation with its parameters, its columns in the table, and how it is run."""

import contextlib
import os
import pty
import shutil
import statistics
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from environments import Unavailable, driver_of


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Args:
        key: which of the numbers.
        title: what it says, with the unit.
        digits: after the point.
    """

    key: str
    title: str
    digits: int = 1


@dataclass(frozen=True)
class Operation:
    """One table.

    Args:
        name: what `--operations` calls it.
        title: of the table; `{…}` are parameters.
        columns: the first of them is what ratios are made of.
        run: `run(measuring, system, **params)` gives the numbers.
        params: the parameters of each table, from the options of the command line.
        repeats: how many times as often as `--repeats` says it is measured.
        statements: {row: statement} of what is measured besides the systems.
        is_of_systems: whether the systems are measured; else only the statements are.
        references: the rows that the first column is divided by.
        note: what has to be known to read it.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    run: object
    params: object = lambda options: [{}]
    repeats: int = 1
    statements: dict[str, str] = field(default_factory=dict)
    is_of_systems: bool = True
    references: tuple[str, ...] = ("runbook",)
    note: str = ""


IMPORTS = {"bare runbook": "import runbook", "attrs": "import attrs", "bare Python": "pass"}
"""Rows of the table of imports that are no systems."""

GIT_DIFF = "subprocess.run(['git', 'diff', 'HEAD'], capture_output=True)"
LIBRARIES = {
    "attrs": "import attrs",
    "attrs, filelock": "import attrs, filelock",
    "attrs, filelock, git": f"import attrs, filelock, subprocess; {GIT_DIFF}",
}
"""What the first experiment of a process needs of others: the libraries that runbook requires to write, and git."""


def run_import(measuring, system):
    if system in IMPORTS:
        python, statement, environment = measuring.environments.python("runbook"), IMPORTS[system], {}
    else:
        driver = driver_of(system)
        python, statement, environment = measuring.environments.python(system), driver.IMPORT, driver.ENVIRONMENT
    # The first one of a repeat brings the files into memory.
    measuring.statement_ms(python, statement, environment)
    import_ms, process_ms = measuring.statement_ms(python, statement, environment)
    return {"import_ms": import_ms, "process_ms": process_ms}


def run_first(measuring, system):
    return measuring.worker(system, "first", base=measuring.empty(system))


def run_start_finish(measuring, system, there, count, limit_s):
    base = measuring.base(system, there)
    before = _count(measuring, system, base, there)
    files, size, on_disk = _usage(base) if there == 0 else (0, 0, 0)
    numbers = measuring.worker(system, "start_finish", base=base, there=there, count=count, limit_s=limit_s)
    if before is not None:
        numbers["lost"] = numbers["experiments"] - (_count(measuring, system, base, there) - before)
    if there == 0:
        files_now, size_now, on_disk_now = _usage(base)
        numbers["files"] = (files_now - files) / numbers["experiments"]
        numbers["bytes"] = (size_now - size) / numbers["experiments"]
        numbers["on_disk"] = (on_disk_now - on_disk) / numbers["experiments"]
    return numbers


def _count(measuring, system, base, there):
    # Where that alone takes some systems minutes, it is left to the smaller sizes.
    return measuring.worker(system, "count", base=base)["count"] if there <= 1000 else None


def _usage(base):
    """Files, their bytes, and what the file system gives them, folders included."""
    files = size = on_disk = 0
    for folder, _, names in os.walk(base):
        on_disk += os.lstat(folder).st_blocks * 512
        for name in names:
            status = os.lstat(os.path.join(folder, name))
            files, size, on_disk = files + 1, size + status.st_size, on_disk + status.st_blocks * 512
    return files, size, on_disk


def run_fsyncs(measuring, system):
    if not shutil.which("strace"):
        raise Unavailable("there is no strace here")
    few, many = 5, 15
    counts = [_fsyncs(measuring, system, count) for count in (few, many)]
    return {"fsyncs": (counts[1] - counts[0]) / (many - few)}


def _fsyncs(measuring, system, count):
    base, summary = measuring.empty(system), measuring.scratch("strace")
    calls = "trace=fsync,fdatasync,msync,sync_file_range,sync"
    prefix = ("strace", "-f", "-qq", "-e", calls, "-o", str(summary))
    measuring.worker(system, "start_finish", prefix=prefix, base=base, there=0, count=count, warm_up=0)
    return sum("sync" in line and "resumed" not in line for line in Path(summary).read_text().splitlines())


def run_log(measuring, system, calls, limit_s):
    return measuring.worker(system, "log", base=measuring.empty(system), calls=calls, limit_s=limit_s)


def run_killed(measuring, system, calls, limit_s):
    base, counter = measuring.empty(system), measuring.scratch("counter")
    arguments = {"calls": calls, "limit_s": limit_s, "counter": str(counter)}
    measuring.worker(system, "killed", is_killed=True, base=base, **arguments)
    logged = int(counter.read_text())
    left = measuring.worker(system, "survivors", base=base)["steps"]
    return {"calls": logged, "survived": left, "percent": 100 * left / logged}


def run_history(measuring, system, calls, limit_s):
    return measuring.worker(system, "history", base=measuring.logged(system, calls, limit_s))


def run_list(measuring, system, there):
    return measuring.worker(system, "listing", base=measuring.prepared(system, there), there=there)


def run_command(measuring, system, there):
    driver = driver_of(system)
    if not hasattr(driver, "LISTING_COMMAND"):
        raise Unavailable("no command that lists is measured")
    python = measuring.environments.python(system)
    base = measuring.prepared(system, there)
    command, *arguments = [part.format(base=base) for part in driver.LISTING_COMMAND]
    program = Path(python).with_name(command)
    if not program.exists():
        raise Unavailable(f"there is no command `{command}` yet")
    terminal_s, shown = _timed_command([str(program), *arguments], is_terminal=True)
    pipe_s, lines = _timed_command([str(program), *arguments], is_terminal=False)
    return {"terminal_s": terminal_s, "shown": shown, "pipe_s": pipe_s, "lines": lines}


def _timed_command(command, *, is_terminal):
    """The seconds and the lines of a command that prints to a terminal or into a pipe."""
    reader, writer = pty.openpty() if is_terminal else os.pipe()
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    lines = 0
    # Linux reports the end of a terminal's output as an error.
    with contextlib.suppress(OSError):
        while chunk := os.read(reader, 65536):
            lines += chunk.count(b"\n")
    os.close(reader)
    _, errors = process.communicate()
    taken = time.perf_counter() - begun
    if process.returncode != 0:
        raise Unavailable(f"fails: {errors.decode(errors='replace').strip()[-160:]}")
    return taken, lines


def run_compare(measuring, system, there, count):
    return measuring.worker(system, "compare", base=measuring.prepared(system, there), count=count)


def run_libraries(measuring, row, processes):
    begin = {"statement": LIBRARIES[row], "base": measuring.empty("runbook")}
    ends, failed = _at_once(measuring, "runbook", "load", [begin] * processes)
    if failed:
        raise Unavailable(failed[0])
    return {
        "longest_s": max(end["seconds"] for end in ends),
        "resident_mb": statistics.median(end["resident_mb"] for end in ends) if "resident_mb" in ends[0] else None,
    }


def run_storm(measuring, system, there, processes, count, limit_s):
    base = measuring.base(system, there)
    before = measuring.worker(system, "count", base=base)["count"]
    common = {"base": base, "count": count, "limit_s": limit_s}
    each = [{**common, "index": there + number * count} for number in range(processes)]
    ends, failed = _at_once(measuring, system, "storm", each)
    if not ends:
        raise Unavailable(failed[0])
    failures = [failure for end in ends for failure in end["failures"]] + failed
    total_s = max(end["ended"] for end in ends) - min(end["begun"] for end in ends)
    done = sum(end["done"] for end in ends)
    there_now = measuring.worker(system, "count", base=base)["count"]
    longest = [end["longest_ms"] for end in ends if end["longest_ms"] is not None]
    later = [end["longest_later_ms"] for end in ends if end["longest_later_ms"] is not None]
    return {
        "each_ms": 1e3 * total_s / done if done else None,
        "total_s": total_s,
        "longest_s": max(longest, default=0) / 1e3,
        "longest_later_s": max(later, default=0) / 1e3,
        "done": done,
        "lost": max(0, done - (there_now - before)),
        "failed": len(failures),
        "first_failure": failures[0] if failures else None,
    }


def _at_once(measuring, system, operation, each):
    """What processes that begin together give, one for each of the arguments, and why others of them failed."""
    go = measuring.scratch("go")
    members = []
    for arguments in each:
        ready = measuring.scratch("ready")
        members.append((ready, *measuring.start(system, operation, **arguments, ready=str(ready), go=str(go))))
    _wait_for([(ready, process) for ready, process, _ in members])
    go.touch()
    deadline = time.monotonic() + measuring.timeout_s
    ends, failed = [], []
    for _, process, result in members:
        try:
            ends.append(measuring.wait(process, result, timeout_s=max(1, deadline - time.monotonic())))
        except Unavailable as error:
            failed.append(str(error))
    return ends, failed


def _wait_for(members):
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        if all(ready.exists() or process.poll() is not None for ready, process in members):
            return
        time.sleep(0.05)


def run_host(measuring, system, imported):
    return measuring.worker(system, "host", base=measuring.empty(system), imported=imported)


OPERATIONS = (
    Operation(
        "import",
        "Import of the names that a training script uses",
        (Column("import_ms", "import, ms"), Column("process_ms", "the whole process, ms")),
        run_import,
        repeats=3,
        statements=IMPORTS,
        references=("attrs", "runbook"),
    ),
    Operation(
        "first",
        "The first experiment of a process",
        (
            Column("ready_ms", "import to ready, ms"),
            Column("ended_ms", "to its end, ms"),
            Column("captured", "git and packages recorded", 0),
        ),
        run_first,
        note="In a git repository of a hundred files with one uncommitted change. Whether commit, patch and packages are "
        "recorded is checked for runbook alone; what the others record is theirs to say.",
    ),
    Operation(
        "start_finish",
        "Start and finish of one experiment with a config of 30 settings, {there:,} there",
        (
            Column("mean_ms", "mean, ms", 2),
            Column("median_ms", "median, ms", 2),
            Column("p95_ms", "p95, ms", 2),
            Column("max_ms", "max, ms", 2),
            Column("start_ms", "start, ms", 2),
            Column("finish_ms", "finish, ms", 2),
            Column("open_ms", "import and open, ms", 0),
            Column("lost", "lost", 0),
        ),
        run_start_finish,
        lambda options: [
            {"there": there, "count": options.experiments, "limit_s": options.run_limit}
            for there in (0, *options.sizes)
        ],
        references=("floor", "runbook"),
        note="{count} experiments one after the other in one process, after three that do not count; fewer where that "
        "takes longer than {limit_s:.0f} s. Each logs one step.",
    ),
    Operation(
        "fsyncs",
        "fsyncs of one experiment",
        (Column("fsyncs", "fsyncs", 1),),
        run_fsyncs,
        references=(),
        note="Counted by strace, helper processes included: 0 means that a power cut may take it.",
    ),
    Operation(
        "log",
        "{calls:,} log calls of three scalars",
        (
            Column("mean_us", "mean, µs a call", 2),
            Column("median_us", "median, µs", 2),
            Column("p99_us", "p99, µs", 2),
            Column("calls", "calls", 0),
            Column("all_s", "process to the end of the experiment, s", 2),
        ),
        run_log,
        lambda options: [{"calls": options.log_calls, "limit_s": options.log_limit}],
        references=("floor", "runbook"),
        note="What a call costs the caller. A system that needs longer than {limit_s:.0f} s is stopped earlier.",
    ),
    Operation(
        "killed",
        "What is left of {calls:,} log calls after a SIGKILL right after the last one",
        (Column("percent", "survived, %", 2), Column("survived", "steps", 0), Column("calls", "of", 0)),
        run_killed,
        lambda options: [{"calls": options.log_calls, "limit_s": options.log_limit}],
        references=(),
        note="A step counts if all of its scalars are read back as they were logged. Helper processes may finish first.",
    ),
    Operation(
        "history",
        "Reading the history of {calls:,} steps back",
        (
            Column("us_a_point", "µs a step", 2),
            Column("again_ms", "call, ms"),
            Column("fresh_ms", "with the import, ms"),
            Column("points", "steps", 0),
        ),
        run_history,
        lambda options: [{"calls": options.log_calls, "limit_s": options.log_limit}],
        references=("floor", "runbook"),
        note="The floor is `json.loads` of the same lines.",
    ),
    Operation(
        "list",
        "List, filter and sort {there:,} experiments",
        (
            Column("fresh_s", "fresh process, import included, s", 3),
            Column("again_s", "second call, s", 3),
            Column("peak_mb", "peak memory added, MB"),
            Column("index_mb", "index file, MB"),
            Column("right", "right", 0),
        ),
        run_list,
        lambda options: [{"there": there} for there in options.sizes],
        note="Completed ones with a learning rate below 1e-3, highest f1 first.",
    ),
    Operation(
        "command",
        "The listing command with {there:,} experiments",
        (
            Column("terminal_s", "on a terminal, s", 3),
            Column("shown", "lines", 0),
            Column("pipe_s", "into a pipe, s", 3),
            Column("lines", "lines", 0),
        ),
        run_command,
        lambda options: [{"there": there} for there in options.sizes if there <= 10_000][-1:],
    ),
    Operation(
        "compare",
        "Compare {count} experiments, {there:,} there",
        (Column("call_ms", "call, ms"), Column("fresh_ms", "fresh process, ms"), Column("right", "right", 0)),
        run_compare,
        lambda options: [{"there": there, "count": min(50, there)} for there in options.sizes[:1]],
    ),
    Operation(
        "storm",
        "{processes} processes start and finish {count} each at once, {there:,} there",
        (
            Column("each_ms", "ms an experiment", 2),
            Column("total_s", "total, s", 2),
            Column("done", "finished", 0),
            Column("longest_s", "longest single wait, s", 2),
            Column("longest_later_s", "the same, not the first of a process, s", 2),
            Column("lost", "lost", 0),
            Column("failed", "failed calls", 0),
        ),
        run_storm,
        lambda options: [
            {"there": there, "processes": processes, "count": options.storm_count, "limit_s": options.storm_limit}
            for there in (0, *[size for size in options.sizes if size <= 10_000][-1:])
            for processes in options.processes
        ],
        note="Each has imported and opened before all begin. After {limit_s:.0f} s they begin no other one. Lost is what was "
        "finished without an error and is not there afterwards.",
    ),
    Operation(
        "libraries",
        "{processes} interpreters load at once what the first experiment of each needs of others",
        (Column("longest_s", "longest, s", 2), Column("resident_mb", "resident memory added to each, MB")),
        run_libraries,
        lambda options: [{"processes": processes} for processes in options.processes],
        statements=LIBRARIES,
        is_of_systems=False,
        references=("attrs",),
        note="The floor of the longest wait, and of the memory in a bare interpreter: each has opened a base directory of "
        "runbook, and does then nothing but this.",
    ),
    Operation(
        "host",
        "What the host process carries, with {imported} imported before",
        (
            Column("resident_mb", "resident memory added, MB"),
            Column("threads", "threads added", 0),
            Column("children", "helper processes", 0),
            Column("children_mb", "their memory, MB"),
        ),
        run_host,
        lambda options: [{"imported": "nothing"}, {"imported": "numpy"}],
        references=(),
        note="With the import, one experiment open, and a hundred steps logged.",
    ),
    Operation(
        "disk",
        "Bytes on disk of one experiment",
        (Column("on_disk", "on disk, bytes", 0), Column("bytes", "in files, bytes", 0), Column("files", "files", 1)),
        None,
        note="From the experiments of the first table of start and finish, the system's own index included.",
    ),
)
"""In the order of the tables."""

BY_NAME = {operation.name: operation for operation in OPERATIONS}
