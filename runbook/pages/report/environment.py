"""The environment of an experiment as rows for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from runbook.display import cut

if TYPE_CHECKING:
    from runbook.typing import Json, JsonObject

_LABELS: Final = {
    "python": "Python",
    "implementation": "Implementation",
    "platform": "Platform",
    "host": "Host",
    "user": "User",
    "cpu_count": "Processors",
    "gpus": "GPUs",
    "argv": "Command line",
    "working_directory": "Working directory",
    "executable": "Interpreter",
    "problems": "Not captured",
}


def environment_rows(environment: JsonObject, length: int = 2_000) -> tuple[list[Json], list[Json]]:
    """The rows of an environment, each a label and a text, and its packages, each `name==version`.

    Args:
        environment: the data from `ExperimentView.load_environment`; missing fields have no row.
        length: the most characters of a text; longer ones are cut.
    """
    rows: list[Json] = []
    for field, label in _LABELS.items():
        text = cut(_format_value(environment.get(field)), length)
        if text:
            rows.append([label, text])
    git = environment.get("git")
    if isinstance(git, dict):
        rows.append(["Git", cut(_format_git(git), length)])
    packages = environment.get("packages")
    installed: list[Json] = []
    if isinstance(packages, dict):
        installed = [f"{name}=={version}" for name, version in sorted(packages.items())]
    return rows, installed


def _format_value(value: Json) -> str:
    if isinstance(value, list):
        value = " ".join(str(item) for item in value)
    return "" if value is None else str(value)


def _format_git(git: JsonObject) -> str:
    commit = str(git.get("commit") or "no commit yet")
    branch = f" on {git['branch']}" if git.get("branch") else ""
    state = "with uncommitted changes" if git.get("dirty") else "clean"
    untracked = git.get("untracked")
    count = len(untracked) if isinstance(untracked, list) else 0
    extra = f", {count} untracked file{'' if count == 1 else 's'}" if count else ""
    remote = f", {git['remote']}" if git.get("remote") else ""
    return f"{commit}{branch}, {state}{extra}{remote}"
