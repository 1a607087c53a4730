"""What runbook promises to cost, as ratios within one run; the report says which of it holds."""

from dataclasses import dataclass

import systems


@dataclass(frozen=True)
class Target:
    """One promise.

    Args:
        what: is promised.
        limit: the most that it may be, or the least.
        value: `value(median)` gives the figure, or None if it was not measured; `median(operation, key, system, **params)`
            gives the median of a number over the repeats.
        unit: of figure and limit.
        at_least: whether the limit is the least.
    """

    what: str
    limit: float
    value: object
    unit: str = ""
    at_least: bool = False


def _number(operation, key, **params):
    return lambda median: median(operation, key, "runbook", **params)


def _ratio(above, below):
    def value(median):
        over, under = above(median), below(median)
        return over / under if over is not None and under else None

    return value


def _of(system, operation, key, **params):
    return lambda median: median(operation, key, system, **params)


def _slowest_above(operation, key, is_peer, **params):
    """Our figure as a ratio to that of the fastest peer that keeps the same promise."""

    def value(median):
        ours = median(operation, key, "runbook", **params)
        theirs = [median(operation, key, peer, **params) for peer in systems.PEERS if is_peer(median, peer)]
        theirs = [figure for figure in theirs if figure]
        return ours / min(theirs) if ours is not None and theirs else None

    return value


def _is_durable(median, peer):
    return (median("fsyncs", "fsyncs", peer) or 0) >= 1


def _survives(median, peer):
    return median("killed", "percent", peer) == 100


def _start_finish(there, system="runbook"):
    return _of(system, "start_finish", "mean_ms", there=there)


def _listing(there, system="runbook"):
    return _of(system, "list", "fresh_s", there=there)


TARGETS = (
    Target(
        "import of `experiment, tracked, ExperimentManager`, to `import attrs`",
        1.5,
        _ratio(_number("import", "import_ms"), _of("attrs", "import", "import_ms")),
        "×",
    ),
    Target("bare `import runbook`", 10, _of("bare runbook", "import", "import_ms"), "ms"),
    Target("first experiment of a process, import to ready", 200, _number("first", "ready_ms"), "ms"),
    Target("start + finish, to the floor", 2, _ratio(_start_finish(0), _start_finish(0, "floor")), "×"),
    Target(
        "start + finish, to the fastest peer that fsyncs",
        1,
        _slowest_above("start_finish", "mean_ms", _is_durable, there=0),
        "×",
    ),
    Target(
        "… with 10,000 there",
        1,
        _slowest_above("start_finish", "mean_ms", _is_durable, there=10_000),
        "×",
    ),
    Target(
        "start + finish with 10,000 there, to none there", 1.5, _ratio(_start_finish(10_000), _start_finish(0)), "×"
    ),
    Target(
        "start + finish with 100,000 there, to none there", 4, _ratio(_start_finish(100_000), _start_finish(0)), "×"
    ),
    Target("`log` of three scalars, mean", 5, _number("log", "mean_us"), "µs"),
    Target("… to the floor", 1, _ratio(_number("log", "mean_us"), _of("floor", "log", "mean_us")), "×"),
    Target("of the logged steps, after a SIGKILL", 100, _number("killed", "percent"), "%", at_least=True),
    Target("`log`, to the fastest peer that survives it whole", 1, _slowest_above("log", "mean_us", _survives), "×"),
    Target(
        "history read back, to `json.loads` of the same lines",
        2,
        _ratio(_number("history", "us_a_point"), _of("floor", "history", "us_a_point")),
        "×",
    ),
    Target("list + filter + sort of 10,000, fresh process", 0.15, _listing(10_000), "s"),
    Target(
        "… to the home-made one, which is one `json.loads`",
        1,
        _ratio(_listing(10_000), _listing(10_000, "homemade")),
        "×",
    ),
    Target("list + filter + sort of 100,000, fresh process", 1.5, _listing(100_000), "s"),
    Target("… to the home-made one", 1, _ratio(_listing(100_000), _listing(100_000, "homemade")), "×"),
    Target(
        "memory of listing 100,000, to the file",
        3,
        _ratio(_number("list", "peak_mb", there=100_000), _number("list", "index_mb", there=100_000)),
        "×",
    ),
    Target("`runbook ls` with 10,000 there, on a terminal", 0.4, _number("command", "terminal_s", there=10_000), "s"),
    Target("64 processes at once, 10,000 there: lost", 0, _number("storm", "lost", processes=64, there=10_000)),
    Target(
        "64 processes at once, 10,000 there: longest single wait",
        2,
        _number("storm", "longest_s", processes=64, there=10_000),
        "s",
    ),
    Target(
        "… to that of 64 interpreters that load attrs and filelock and ask git",
        2,
        _ratio(
            _number("storm", "longest_s", processes=64, there=10_000),
            _of("attrs, filelock, git", "libraries", "longest_s", processes=64),
        ),
        "×",
    ),
    Target(
        "64 processes at once, 10,000 there: home-made manager to runbook",
        5,
        _ratio(
            _of("homemade", "storm", "each_ms", processes=64, there=10_000),
            _number("storm", "each_ms", processes=64, there=10_000),
        ),
        "×",
        at_least=True,
    ),
    Target("threads added to the host process", 1, _number("host", "threads", imported="numpy")),
    Target(
        "resident memory added to a host that has NumPy", 12, _number("host", "resident_mb", imported="numpy"), "MB"
    ),
    Target("resident memory added to a bare interpreter", 12, _number("host", "resident_mb", imported="nothing"), "MB"),
)
