"""The operations, the same for every system; each runs in a process of its own and returns its numbers.

Everything here imports the standard library only, since it runs in the environments of all systems; and what one
operation needs is imported there, behind its clock, since the import counts for the system otherwise.
"""

import importlib
import os
import signal
import time

import workload

WARM_UP = 3
PATIENCE_S = 60
"""A listing that takes longer is not asked for twice."""


class TookTooLong(Exception):
    """A preparation that would take hours."""


def first(driver, started, base):
    """From the first import of a process to the moment at which its first experiment is ready for the training."""
    ready = []
    driver.run(
        driver.connect(base), workload.name(0), workload.config(0), lambda log: ready.append(time.perf_counter())
    )
    numbers = {"ready_ms": 1e3 * (ready[0] - started), "ended_ms": 1e3 * (time.perf_counter() - started)}
    return numbers | ({"captured": driver.captured(base)} if hasattr(driver, "captured") else {})


def start_finish(driver, started, base, there, count, limit_s=None, warm_up=WARM_UP):
    """Experiments one after the other in one process that does nothing in between; fewer after `limit_s`."""
    session = driver.connect(base)
    opened = time.perf_counter()
    spans = []
    for index in range(warm_up + count):
        spans.append(_timed_run(driver, session, there + index))
        if limit_s is not None and index >= warm_up + 2 and time.perf_counter() - opened > limit_s:
            break
    times = spans[warm_up:]
    numbers = {"experiments": len(spans)}
    if "import" not in driver.ABSENT:
        numbers["open_ms"] = 1e3 * (opened - started)
    if times:
        import statistics

        totals = sorted(span["total"] for span in times)
        numbers |= {
            "mean_ms": statistics.fmean(totals),
            "median_ms": statistics.median(totals),
            "p95_ms": totals[min(len(totals) - 1, int(0.95 * len(totals)))],
            "max_ms": totals[-1],
            "start_ms": statistics.median(span["start"] for span in times),
            "finish_ms": statistics.median(span["finish"] for span in times),
        }
    return numbers


def _timed_run(driver, session, index):
    """An experiment that logs once: some systems write nothing of one that does not."""
    inside = []
    values = workload.step(0)

    def body(log):
        inside.append(time.perf_counter())
        log(values, step=0)

    # A system that names its folders after the experiments must not meet one of an earlier measurement.
    name, config = f"extra-{os.getpid()}-{index}", workload.extra(index)
    begun = time.perf_counter()
    driver.run(session, name, config, body)
    ended = time.perf_counter()
    return {
        "start": 1e3 * (inside[0] - begun),
        "finish": 1e3 * (ended - inside[0]),
        "total": 1e3 * (ended - begun),
    }


def log(driver, started, base, calls, limit_s):
    """`calls` steps of three scalars; fewer where they would take longer than `limit_s`."""
    times = []

    def body(log):
        clock = time.perf_counter_ns
        deadline = time.monotonic() + limit_s
        for number in range(calls):
            values = workload.step(number)
            before = clock()
            log(values, step=number)
            times.append(clock() - before)
            if number % 256 == 0 and time.monotonic() > deadline:
                break

    session = driver.connect(base)
    driver.run(session, workload.name(0), workload.config(0), body)
    ended = time.perf_counter()
    times.sort()
    import statistics

    return {
        "calls": len(times),
        "mean_us": statistics.fmean(times) / 1e3,
        "median_us": statistics.median(times) / 1e3,
        "p99_us": times[int(0.99 * len(times))] / 1e3,
        "all_s": ended - started,
    }


def killed(driver, started, base, calls, limit_s, counter):
    """The same, ended by a SIGKILL right after the last call; the number of calls that returned goes to `counter`."""
    descriptor = os.open(counter, os.O_WRONLY | os.O_CREAT, 0o666)

    def body(log):
        deadline = time.monotonic() + limit_s
        for number in range(calls):
            log(workload.step(number), step=number)
            if number % 256 == 0 and time.monotonic() > deadline:
                break
        os.pwrite(descriptor, str(number + 1).encode(), 0)
        os.kill(os.getpid(), signal.SIGKILL)

    driver.run(driver.connect(base), workload.name(0), workload.config(0), body)


def survivors(driver, started, base):
    """How many of the logged steps can be read back, whole and right."""
    read = getattr(driver, "survivors", None) or driver.history
    try:
        series = read(base)
    except FileNotFoundError:
        series = {}
    return {"steps": right_steps(series)}


def right_steps(series):
    """How many steps have all of their scalars as they were logged."""
    columns = [list(series.get(name) or []) for name in kept_series(series)]
    right = 0
    for number, values in enumerate(zip(*columns, strict=False)):
        wanted = workload.step(number)
        right += all(
            value is not None and abs(value - wanted[name]) <= 1e-6 * abs(wanted[name]) + 1e-12
            for name, value in zip(kept_series(series), values, strict=True)
        )
    return right


def kept_series(series):
    """The series that a system keeps: all three, or the one that it has room for."""
    return [name for name in workload.SERIES if name in series] or list(workload.SERIES)


def history(driver, started, base):
    """The curves of one experiment, read in a fresh process; and once more, when all is imported."""
    begun = time.perf_counter()
    series = driver.history(base)
    first = time.perf_counter()
    del series
    again = time.perf_counter()
    series = driver.history(base)
    ended = time.perf_counter()
    points = right_steps(series)
    return {
        "points": points,
        "fresh_ms": 1e3 * (first - begun),
        "again_ms": 1e3 * (ended - again),
        "us_a_point": 1e6 * (ended - again) / max(points, 1),
    }


def listing(driver, started, base, there):
    """Filter and sort all experiments in a fresh process; and once more, when all is imported."""
    bare = peak_memory()
    names = driver.listing(base)
    listed = time.perf_counter()
    peak = peak_memory()
    numbers = {"fresh_s": listed - started, "right": names == workload.best(there)}
    if numbers["fresh_s"] < PATIENCE_S:
        again = time.perf_counter()
        driver.listing(base)
        numbers["again_s"] = time.perf_counter() - again
    if bare is not None:
        numbers["peak_mb"] = (peak - bare) / 1e6
    index = getattr(driver, "INDEX", None)
    if index and os.path.exists(os.path.join(base, index)):
        numbers["index_mb"] = os.path.getsize(os.path.join(base, index)) / 1e6
    return numbers


def compare(driver, started, base, count):
    """The settings in which `count` experiments differ."""
    names = [workload.name(index) for index in range(count)]
    begun = time.perf_counter()
    differing = driver.compare(base, names)
    ended = time.perf_counter()
    return {
        "fresh_ms": 1e3 * (ended - started),
        "call_ms": 1e3 * (ended - begun),
        "right": set(differing) == {"learning_rate", "seed"},
    }


def storm(driver, started, base, index, count, ready, go, limit_s=None):
    """One of many processes that start and finish experiments at once; it waits for the file `go` when it is ready.

    After `limit_s` it begins no other one.
    """
    session = driver.connect(base)
    _await(ready, go)
    begun = time.monotonic()
    spans, failures = [], []
    for number in range(count):
        if limit_s is not None and time.monotonic() - begun > limit_s:
            break
        try:
            spans.append(_timed_run(driver, session, index + number))
        except Exception as error:
            failures.append(f"{type(error).__name__}: {error}"[:200])
    return {
        "begun": begun,
        "ended": time.monotonic(),
        "done": len(spans),
        "longest_ms": max((max(span["start"], span["finish"]) for span in spans), default=None),
        "longest_later_ms": max((max(span["start"], span["finish"]) for span in spans[1:]), default=None),
        "failures": failures,
    }


def load(driver, started, base, statement, ready, go):
    """One of many processes that execute a statement at once, when each has opened a base directory."""
    driver.connect(base)
    before = _status()
    _await(ready, go)
    begun = time.monotonic()
    exec(statement, {})
    numbers = {"seconds": time.monotonic() - begun}
    return numbers | ({"resident_mb": (_status()["VmRSS"] - before["VmRSS"]) / 1e6} if before else {})


def _await(ready, go):
    """Say that this process is ready, and wait for the file that all of them wait for."""
    with open(ready, "w"):
        pass
    while not os.path.exists(go):
        time.sleep(0.002)


def host(driver, started, base, imported):
    """What the program carries for it: memory and threads with one experiment open that has logged a hundred steps.

    Args:
        driver: the system.
        started: when the process was started.
        base: where its experiments go.
        imported: what the program has imported before, as a training does; "nothing" for a bare interpreter.
    """
    if imported != "nothing":
        try:
            importlib.import_module(imported)
        except ImportError as error:
            return {"unavailable": str(error)}
    before = _status()
    after = {}

    def body(log):
        for number in range(100):
            log(workload.step(number), step=number)
        after.update(_status())

    driver.run(driver.connect(base), workload.name(0), workload.config(0), body)
    if not before:
        return {"unavailable": "this system has no /proc"}
    return {
        "resident_mb": (after["VmRSS"] - before["VmRSS"]) / 1e6,
        "threads": after["Threads"] - before["Threads"],
        "children": len(after["children"]) - len(before["children"]),
        "children_mb": sum(after["children"].values()) / 1e6,
    }


def count(driver, started, base):
    """How many ended experiments there are."""
    return {"count": driver.count(base)}


def prepare(driver, started, base, count, limit_s):
    """Experiments 0 to `count`, each with its final metrics, through the API; the time it took."""
    session = driver.connect(base)
    sample = min(50, count)
    for index in range(count):
        driver.run(session, workload.name(index), workload.config(index), lambda log: workload.metrics(index))
        taken = time.perf_counter() - started
        if (index == sample and taken / sample * count > limit_s) or taken > limit_s:
            hours = taken / index * count / 3600
            raise TookTooLong(f"not prepared: at least {hours:.1f} h through its API")
    return _prepared(driver, started, base, count)


def prepare_directly(driver, started, base, count, limit_s):
    """The same, written straight in the system's own format, and one more through the API, which looks at them all."""
    driver.prepare(base, count)
    _timed_run(driver, driver.connect(base), count)
    return _prepared(driver, started, base, count + 1)


def _prepared(driver, started, base, expected):
    index(driver, started, base)
    found = driver.count(base)
    if found != expected:
        raise AssertionError(f"of {expected} prepared experiments {found} are there")
    return {"seconds": time.perf_counter() - started}


def index(driver, started, base):
    """What a system wants done once before its experiments can be read."""
    if hasattr(driver, "index"):
        driver.index(base)
    return {}


def peak_memory():
    """The most memory that this process has had, in bytes; None where the system does not say."""
    # Not getrusage: its figure begins with that of the parent before the exec.
    return _status().get("VmHWM")


def _status():
    """Memory and threads of this process, and its descendants; nothing where the system does not say."""
    try:
        with open("/proc/self/status") as file:
            lines = file.read().splitlines()
    except OSError:
        return {}
    status = {}
    for line in lines:
        name, _, value = line.partition(":")
        if name in {"VmRSS", "VmHWM"}:
            status[name] = int(value.split()[0]) * 1024
        elif name == "Threads":
            status[name] = int(value)
    status["children"] = _descendants()
    return status


def _descendants():
    """The resident memory of each process that descends from this one."""
    parents, resident = {}, {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as file:
                    fields = file.read().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(name)] = int(fields[1])
            resident[int(name)] = int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
    found, ours = {}, [os.getpid()]
    while ours:
        parent = ours.pop()
        for pid, its_parent in parents.items():
            if its_parent == parent:
                found[pid] = resident[pid]
                ours.append(pid)
    return found
