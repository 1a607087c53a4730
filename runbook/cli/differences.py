"""The differences between two experiments: configs, environments, metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from runbook import display
from runbook.cli.facts import environment_of
from runbook.config.difference import config_diff, differing, without_own_paths
from runbook.read.view import final_metrics, layout_of, record_of
from runbook.serialize.flatten import flatten

if TYPE_CHECKING:
    from runbook.read.view import ExperimentView
    from runbook.typing import Json, JsonObject

_COMPARED: Final = ("python", "implementation", "platform", "host", "argv", "working_directory", "gpus", "variables")
_GIT: Final = ("commit", "branch", "dirty", "remote")

Differences = dict[str, dict[str, "Json"]]


def differences(first: ExperimentView, second: ExperimentView) -> dict[str, Differences]:
    """The differences by section: `{"config": {key: {experiment_id: value}}, "environment": …, "metrics": …}`.

    Each key has only the experiments that have it. Environments are compared only if both are recorded.
    """
    if first.id == second.id:
        return {"config": {}, "environment": {}, "metrics": {}}
    views = (first, second)
    environments = {view.id: environment_of(view) for view in views}
    known = {
        owner: _select_facts(environment) for owner, environment in environments.items() if environment is not None
    }
    return {
        "config": config_diff({view.id: without_own_paths(record_of(view).config, view.id) for view in views}),
        "environment": differing(known) if len(known) == len(views) else {},
        "metrics": differing({view.id: flatten(final_metrics(layout_of(view), record_of(view))) for view in views}),
    }


def _select_facts(environment: JsonObject) -> dict[str, Json]:
    """The parts of an environment that can cause another result."""
    git, packages = environment.get("git"), environment.get("packages")
    flat = flatten({key: environment[key] for key in _COMPARED if key in environment})
    if isinstance(git, dict):
        flat |= {f"git.{key}": git[key] for key in _GIT if key in git}
    if isinstance(packages, dict):
        flat |= {f"packages.{name}": version for name, version in packages.items()}
    return flat


def side(values: dict[str, Json], experiment_id: str) -> str:
    """The value of one experiment as text; `-` if it does not have the key."""
    if experiment_id not in values:
        return "-"
    value = values[experiment_id]
    # An empty text would look like an absent setting.
    return "null" if value is None else display.one_line(value)
