"""The record of machine-learning experiments in plain files.

from runbook import experiment, tracked, ExperimentManager
"""

from __future__ import annotations

# Type checkers know this name; importing it from `typing` would be most of what `import runbook` costs.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from runbook.comparison import Comparison
    from runbook.comparison.group_comparison import GroupComparison
    from runbook.errors import (
        AmbiguousExperimentError,
        BaseDirectoryError,
        BundleError,
        ComparisonError,
        ConfigDiffersError,
        ConfigError,
        DamagedFileError,
        ExperimentExistsError,
        ExperimentNotFoundError,
        InvalidNameError,
        MissingExtraError,
        NewerFormatError,
        NoActiveExperimentError,
        PickleNotAllowedError,
        QueryError,
        ReportTargetError,
        ResumeError,
        RunbookError,
        TargetExistsError,
        UnknownStatusError,
        UnknownSuffixError,
        UsageError,
    )
    from runbook.handle import Experiment
    from runbook.listing import ExperimentList
    from runbook.manager import ExperimentManager
    from runbook.progress import Progress
    from runbook.statuses import EndReason, Status
    from runbook.tracking import current_experiment, experiment, tracked
    from runbook.view import ExperimentView

__version__ = "0.1.0"

__all__ = [
    "AmbiguousExperimentError",
    "BaseDirectoryError",
    "BundleError",
    "Comparison",
    "ComparisonError",
    "ConfigDiffersError",
    "ConfigError",
    "DamagedFileError",
    "EndReason",
    "Experiment",
    "ExperimentExistsError",
    "ExperimentList",
    "ExperimentManager",
    "ExperimentNotFoundError",
    "ExperimentView",
    "GroupComparison",
    "InvalidNameError",
    "MissingExtraError",
    "NewerFormatError",
    "NoActiveExperimentError",
    "PickleNotAllowedError",
    "Progress",
    "QueryError",
    "ReportTargetError",
    "ResumeError",
    "RunbookError",
    "Status",
    "TargetExistsError",
    "UnknownStatusError",
    "UnknownSuffixError",
    "UsageError",
    "current_experiment",
    "experiment",
    "tracked",
]

_HOMES = {
    "Comparison": "comparison",
    "EndReason": "statuses",
    "Experiment": "handle",
    "ExperimentList": "listing",
    "ExperimentManager": "manager",
    "ExperimentView": "view",
    "GroupComparison": "comparison.group_comparison",
    "Progress": "progress",
    "Status": "statuses",
    "current_experiment": "tracking",
    "experiment": "tracking",
    "tracked": "tracking",
}


if not TYPE_CHECKING:
    # Hidden from type checkers, which would take every misspelt name for one that it gives.
    def __getattr__(name: str) -> object:
        # Loaded at first use: a program that imports runbook and never starts an experiment pays almost nothing.
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        import importlib

        value: object = getattr(importlib.import_module(f"{__name__}.{_HOMES.get(name, 'errors')}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
