"""Measure runbook beside other trackers: `python tests/benchmarks --help`."""

import argparse
import json
import os
import sys
import time
from pathlib import Path

import machine
import report
import systems
from environments import Environments, Unavailable, driver_of
from measuring import Measuring
from plan import BY_NAME, OPERATIONS
from results import Results

DESCRIPTION = """\
Measures the same operations on runbook and on other trackers, side by side. Each measurement is a fresh process; the
repeats of all systems are interleaved, so that a machine that gets slower gets slower for all. The raw numbers are added
to the results file as they come: an interrupted run goes on where it stopped. The report is Markdown."""


def main(arguments=None):
    options = parse(arguments)
    results = Results(options.results)
    if not options.report_only:
        measure(options, results)
    elif not results.records:
        sys.exit(f"{options.results} has no results; run without --report-only first")
    text = report.write(results)
    if options.report:
        Path(options.report).write_text(text)
    else:
        print(text)


def parse(arguments):
    parser = argparse.ArgumentParser("benchmarks", description=DESCRIPTION)
    names = [operation.name for operation in OPERATIONS if operation.run]
    add = parser.add_argument
    add(
        "--systems", nargs="+", default=[*systems.ALL], choices=systems.ALL, metavar="NAME", help="default: all of them"
    )
    add("--operations", nargs="+", default=names, choices=names, metavar="NAME", help=f"of {', '.join(names)}")
    add("--sizes", nargs="*", type=int, default=[1_000, 10_000, 100_000], help="experiments already there")
    add("--repeats", type=int, default=5, help="of each measurement")
    add("--experiments", type=int, default=30, help="that are started and finished one after the other")
    add("--run-limit", type=float, default=60, metavar="S", help="after which a slow system may stop starting them")
    add("--log-calls", type=int, default=100_000, help="of one experiment")
    add("--log-limit", type=float, default=60, metavar="S", help="after which a slow system may stop logging")
    add("--processes", nargs="*", type=int, default=[16, 64], help="that start and finish at once")
    add("--storm-count", type=int, default=25, help="experiments of each of these processes")
    add("--storm-limit", type=float, default=120, metavar="S", help="after which they begin no other one")
    add("--prepare-limit", type=float, default=900, metavar="S", help="for filling a base directory through an API")
    add("--timeout", type=float, default=900, metavar="S", help="of one measurement")
    add("--venvs", default="benchmark-environments", help="folder of the environments of the peers, made on demand")
    add("--work", default="benchmark-work", help="folder of base directories, on the disk that is to be measured")
    add("--results", default="benchmark-results.jsonl", help="file of raw numbers, added to")
    add("--report", help="file of the tables; default: printed")
    add("--report-only", action="store_true", help="measure nothing, make the tables from the results")
    return parser.parse_args(arguments)


def measure(options, results):
    # An installed package has its bytecode beside it; a checkout would be compiled anew for each process.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    environments = Environments(options.venvs)
    measuring = Measuring(environments, options.work, options.timeout, options.prepare_limit)
    versions = {system: _version(environments, system) for system in options.systems}
    results.add_machine(machine.describe(options.work), versions)
    for operation in [BY_NAME[name] for name in options.operations]:
        for params in operation.params(options):
            for repeat in range(options.repeats * operation.repeats):
                rows = [*operation.statements, *(options.systems if operation.is_of_systems else ())]
                # Each repeat begins with another system: none is always the one that comes after the heaviest.
                turn = repeat % len(rows)
                for system in rows[turn:] + rows[:turn]:
                    version = versions.get(system, versions.get("runbook", ""))
                    if not results.has(operation.name, params, system, version, repeat):
                        load, begun = machine.load(), time.monotonic()
                        numbers = _numbers(measuring, operation, params, system)
                        seconds = time.monotonic() - begun
                        results.add(
                            operation.name, params, system, version, repeat, numbers, load=load, seconds=seconds
                        )
                        _say(operation, params, system, repeat, numbers)
                        measuring.clean()


def _version(environments, system):
    try:
        return environments.version(system)
    except Unavailable as error:
        return str(error)


def _numbers(measuring, operation, params, system):
    absent = {} if system in operation.statements else driver_of(system).ABSENT
    if operation.name in absent:
        return {"unavailable": absent[operation.name]}
    try:
        return operation.run(measuring, system, **params)
    except Unavailable as error:
        return {"unavailable": str(error)}


def _say(operation, params, system, repeat, numbers):
    first = operation.columns[0].key
    shown = numbers.get("unavailable") or f"{first} {numbers[first]:.4g}"
    print(f"{operation.name} {json.dumps(params)} {system} #{repeat + 1}: {shown}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
