"""Make the page of the guide that lists every public name, from the docstrings.

python tests/support/api_reference.py            # prints the page
python tests/support/api_reference.py --write    # writes runbook/guide/api.md
"""

from __future__ import annotations

import argparse
import ast
import enum
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import attrs

import runbook

PAGE = Path(__file__).resolve().parents[2] / "runbook" / "guide" / "api.md"
FUNCTIONS = ("experiment", "tracked", "current_experiment")
CLASSES = (
    *("ExperimentManager", "Experiment", "ExperimentView", "ExperimentList"),
    *("Comparison", "GroupComparison", "Progress"),
)
WORDS = ("Status", "EndReason")
CONSTRUCTED = ("ExperimentManager",)
"""Classes that users construct themselves; the others are results of calls."""

WIDTH = 100
SECTION = re.compile(r"^(Args|Options|Attributes|Returns|Raises|Yields|Example|Examples):$", re.MULTILINE)


def build_page() -> str:
    """Return the page in Markdown."""
    errors = [name for name in runbook.__all__ if name not in {*FUNCTIONS, *CLASSES, *WORDS}]
    parts = [
        "# API reference",
        "Every public function, class, method and error, with its arguments.",
        "<!-- Made from the docstrings by `python tests/support/api_reference.py --write`. -->",
        "All names come from the package itself:",
        "```py\nfrom runbook import ExperimentManager, experiment, tracked\n```",
        "## Functions",
    ]
    for name in FUNCTIONS:
        parts += [f"### {name}", *describe_function(name, getattr(runbook, name), level=4)]
    for name in CLASSES:
        parts += [f"## {name}", *describe_class(getattr(runbook, name))]
    for name in WORDS:
        parts += [f"## {name}", *describe_words(getattr(runbook, name))]
    parts += [
        "## Errors",
        "Each error is a `RunbookError` and also the built-in error that its heading names.",
        "It keeps its facts as attributes, and its message says what to do next.",
    ]
    for name in sorted(errors, key=lambda name: (name != "RunbookError", name)):
        parts += [*describe_error(getattr(runbook, name))]
    return "\n\n".join(parts) + "\n"


def describe_class(cls: type) -> Iterator[str]:
    """A class: its docstring, its properties as a list, its methods."""
    sections = dict(split_sections(inspect.getdoc(cls) or ""))
    if cls.__name__ in CONSTRUCTED:
        yield signature(cls.__name__, cls.__init__)
    yield from describe_sections(
        sections if cls.__name__ in CONSTRUCTED or attrs.has(cls) else {**sections, "Args": ""}
    )
    public = [base for base in cls.__mro__[1:] if base.__name__ in runbook.__all__]
    if public:
        yield f"It also has everything that [{public[0].__name__}](#{public[0].__name__.lower()}) has."
    homes = [cls, *(base for base in cls.__mro__[1:] if is_hidden_home(base))]
    for base in homes[1:]:
        if attrs.has(base):
            inherited = dict(split_sections(inspect.getdoc(base) or ""))
            yield from describe_sections({"Attributes": inherited.get("Attributes") or inherited.get("Args", "")})
    members = {name: member for home in homes for name, member in vars(home).items() if not name.startswith("_")}
    properties = {name: member for name, member in members.items() if isinstance(member, property)}
    if properties:
        yield "Properties:"
        yield "\n".join(
            f"- `.{name}` ({annotation(member.fget, 'return')}): {escaped(joined(inspect.getdoc(member) or ''))}"
            for name, member in properties.items()
        )
    for name, member in members.items():
        function = getattr(member, "__func__", member)
        if inspect.isfunction(function):
            yield f"### {cls.__name__}.{name}"
            yield from describe_function(f".{name}", function, level=4)


def is_hidden_home(base: type) -> bool:
    """Whether a base class is one of ours that users do not see."""
    return base.__module__.partition(".")[0] == "runbook" and base.__name__ not in runbook.__all__


def describe_function(shown: str, function: object, *, level: int) -> Iterator[str]:
    """A function: its signature and its docstring."""
    yield signature(shown, function)
    yield from describe_sections(dict(split_sections(inspect.getdoc(function) or "")))


def describe_words(cls: type[enum.Enum]) -> Iterator[str]:
    """An enum: each of its values with the text below it."""
    yield escaped(joined(inspect.getdoc(cls) or ""))
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    lines, name = [], ""
    for node in tree.body:
        if isinstance(node, ast.Assign):
            name = node.targets[0].id
        elif isinstance(node, ast.Expr) and name:
            lines.append(f'- `{cls.__name__}.{name}` = `"{cls[name].value}"`: {escaped(joined(node.value.value))}')
            name = ""
    yield "\n".join(lines)


def describe_error(cls: type) -> Iterator[str]:
    """An error: which built-in errors it is, and its facts."""
    built_in = [base.__name__ for base in cls.__mro__ if base.__module__ == "builtins"]
    above = cls.__mro__[1].__name__
    kinds = list(dict.fromkeys([above if above != "RunbookError" else "", built_in[0]]))
    yield f"### {cls.__name__} ({', '.join(kind for kind in kinds if kind and kind != 'Exception') or 'Exception'})"
    yield from describe_sections(dict(split_sections(inspect.getdoc(cls) or "")))


def describe_sections(sections: dict[str, str]) -> Iterator[str]:
    """The parts of a docstring as Markdown."""
    for title, text in sections.items():
        if not text.strip():
            continue
        if title in {"Example", "Examples"}:
            yield f"```py\n{re.sub(r'  # doctest:.*', '', text).strip()}\n```"
        elif title in {"Args", "Options", "Attributes", "Raises"}:
            yield f"{title}:\n\n{items(text)}" if title != "Args" else f"Arguments:\n\n{items(text)}"
        elif title:
            yield f"{title}: {paragraphs(text)}"
        else:
            yield paragraphs(text)


def split_sections(doc: str) -> Iterator[tuple[str, str]]:
    """The sections of a docstring in Google's form, the text before them under an empty title."""
    parts = SECTION.split(doc)
    yield "", parts[0]
    for title, text in zip(parts[1::2], parts[2::2], strict=True):
        yield title, textwrap.dedent(text.strip("\n"))


def items(text: str) -> str:
    """The entries `name: text` of a section as a list."""
    found: list[str] = []
    for line in text.splitlines():
        if line and not line[0].isspace():
            name, _, rest = line.partition(":")
            found.append(f"- `{name}`: {rest.strip()}")
        elif line.strip():
            found[-1] += f" {line.strip()}"
    return "\n".join(map(escaped, found))


def paragraphs(text: str) -> str:
    """Prose, each paragraph on one line."""
    blocks = re.split(r"\n\s*\n", text.strip())
    return "\n\n".join(escaped(joined(block)) for block in blocks)


def joined(text: str) -> str:
    """Lines of prose as one line."""
    return " ".join(text.split())


def escaped(text: str) -> str:
    """Prose in which nothing outside of code is HTML to a renderer of Markdown."""
    parts = text.split("`")
    return "`".join(part if place % 2 else part.replace("<", "\\<") for place, part in enumerate(parts))


def annotation(function: object, name: str) -> str:
    """The annotation of a parameter or of the result, as it stands in the source."""
    return f"`{function.__annotations__.get(name, 'None')}`"


def signature(shown: str, function: object) -> str:
    """The signature as a block of code, one parameter a line where it is long."""
    parameters, is_keyword_only = [], False
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name == "self":
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not is_keyword_only:
            is_keyword_only = True
            parameters.append("*")
        stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        is_keyword_only = is_keyword_only or parameter.kind is parameter.VAR_POSITIONAL
        text = f"{stars}{parameter.name}"
        if parameter.annotation is not parameter.empty:
            text += f": {parameter.annotation}"
        if parameter.default is not parameter.empty:
            text += f" = {parameter.default!r}" if ":" in text else f"={parameter.default!r}"
        parameters.append(text)
        if parameter.kind is parameter.POSITIONAL_ONLY:
            parameters.append("/")
    while parameters.count("/") > 1:
        parameters.remove("/")
    result = inspect.signature(function).return_annotation
    end = "" if result in {inspect.Signature.empty, "None"} or function.__name__ == "__init__" else f" -> {result}"
    line = f"{shown}({', '.join(parameters)}){end}"
    if len(line) > WIDTH:
        line = f"{shown}(\n" + "".join(f"    {text},\n" for text in parameters) + f"){end}"
    return f"```py\n{line}\n```"


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the page of every public name.")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name} instead of printing it")
    if parser.parse_args().write:
        PAGE.write_text(build_page(), encoding="utf-8")
    else:
        print(build_page(), end="")


if __name__ == "__main__":
    main()
