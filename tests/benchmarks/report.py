"""The tables: Markdown from the raw numbers."""

import json
import statistics

import systems
from environments import driver_of
from plan import OPERATIONS
from targets import TARGETS

NOT_THERE = "–"


def write(results):
    """The whole report.

    Args:
        results: of one or several runs; of each system the version that was measured last counts.
    """
    runs = [record for record in results.records if "machine" in record]
    records = [record for record in results.records if "operation" in record]
    newest = {record["system"]: record["version"] for record in records}
    records = [record for record in records if record["version"] == newest[record["system"]]]
    parts = ["# Benchmark\n", _machine(runs, records), _targets(records)]
    for operation in OPERATIONS:
        name = "start_finish" if operation.name == "disk" else operation.name
        own = [record for record in records if record["operation"] == name]
        if operation.name == "disk":
            own = [record for record in own if record["params"]["there"] == 0]
        for params in _each(record["params"] for record in own):
            parts.append(_table(operation, params, [record for record in own if record["params"] == params]))
    return "\n".join(part for part in parts if part)


def medians(records, key):
    """The median over the repeats; None where it was not measured."""
    values = [record["numbers"][key] for record in records if record["numbers"].get(key) is not None]
    return statistics.median(values) if values else None


def title_of(row, statements=()):
    """What a table calls a row: a statement that is measured, or a system."""
    return f"`{statements[row]}`" if row in statements else driver_of(row).TITLE


def _machine(runs, records):
    facts = "".join(f"- {name}: {value}\n" for name, value in runs[-1]["machine"].items())
    loads = [record["load"] for record in records]
    busy = f"- load while it ran: median {statistics.median(loads):.1f}, most {max(loads):.1f}\n" if loads else ""
    dates = sorted(record["at"] for record in records)
    when = f"Measured from {dates[0]} to {dates[-1]}.\n\n" if dates else ""
    # One run may have measured some of the systems, another one the others.
    versions = {system: version for run in runs for system, version in run["systems"].items()}
    listed = "".join(f"- {title_of(system)}: {version}\n" for system, version in versions.items())
    return f"{when}{facts}{busy}\nSystems:\n\n{listed}"


def _targets(records):
    def median(operation, key, system, **params):
        return medians(
            [
                record
                for record in records
                if (record["operation"], record["system"]) == (operation, system)
                and params.items() <= record["params"].items()
            ],
            key,
        )

    lines = ["| target | limit | measured | holds |\n| --- | ---: | ---: | --- |\n"]
    for target in TARGETS:
        value, sign = target.value(median), "≥" if target.at_least else "≤"
        holds = value is not None and (value >= target.limit if target.at_least else value <= target.limit)
        limit = f"{sign} {target.limit:g} {target.unit}".strip()
        measured = NOT_THERE if value is None else f"{value:.3g} {target.unit}".strip()
        word = "not measured" if value is None else "yes" if holds else "**no**"
        lines.append(f"| {target.what} | {limit} | {measured} | {word} |\n")
    return f"## Targets\n\n{''.join(lines)}"


def _table(operation, params, records):
    columns = [c for c in operation.columns if any(record["numbers"].get(c.key) is not None for record in records)]
    divisors = {
        f"× {name}": medians([record for record in records if record["system"] == name], operation.columns[0].key)
        for name in operation.references
    }
    divisors = {title: value for title, value in divisors.items() if value}
    head = ["", *(column.title for column in columns), *divisors, "runs"]
    rows, remarks = [], []
    for system in (*operation.statements, *systems.ALL):
        title = title_of(system, operation.statements)
        own = [record for record in records if record["system"] == system]
        measured = [record for record in own if "unavailable" not in record["numbers"]]
        if measured:
            cells = [_cell(medians(measured, column.key), column) for column in columns]
            value = medians(measured, operation.columns[0].key)
            ratios = [NOT_THERE if value is None else f"{value / divisor:.2f}" for divisor in divisors.values()]
            rows.append([title, *cells, *ratios, str(len(measured))])
        elif own:
            rows.append([title, *[NOT_THERE] * (len(head) - 1)])
        for reason in _each(record["numbers"]["unavailable"] for record in own if "unavailable" in record["numbers"]):
            remarks.append(f"- {title}: {_escaped(reason)}")
        for failure in _each(record["numbers"].get("first_failure") for record in own):
            remarks += [f"- {title}: {_escaped(failure)}"] if failure else []
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    note = f"{operation.note.format(**params)}\n\n" if operation.note else ""
    return f"## {operation.title.format(**params)}\n\n{note}{table}" + (
        "\n" + "\n".join(remarks) + "\n" if remarks else ""
    )


def _cell(value, column):
    if value is None:
        return NOT_THERE
    if column.key in {"right", "captured"}:
        return "yes" if value == 1 else "**no**"
    return f"{value:,.{column.digits}f}"


def _escaped(text):
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def _each(items):
    seen = {}
    for item in items:
        seen.setdefault(json.dumps(item, sort_keys=True), item)
    return list(seen.values())
