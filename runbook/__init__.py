"""Records of machine-learning experiments in plain files.

from runbook import experiment, tracked, ExperimentManager
"""

from __future__ import annotations

# Type checkers know this name; importing it from `typing` would take most of the time of `import runbook`.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from runbook.api.manager import ExperimentManager
    from runbook.api.tracking import current_experiment, experiment, tracked
    from runbook.compare.comparison import Comparison
    from runbook.compare.groups import GroupComparison
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
    from runbook.read.listing import ExperimentList
    from runbook.read.view import ExperimentView
    from runbook.record.status import EndReason, Status
    from runbook.run.experiment import Experiment
    from runbook.storage.progress import Progress

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

_MODULES = {
    "Comparison": "compare.comparison",
    "EndReason": "record.status",
    "Experiment": "run.experiment",
    "ExperimentList": "read.listing",
    "ExperimentManager": "api.manager",
    "ExperimentView": "read.view",
    "GroupComparison": "compare.groups",
    "Progress": "storage.progress",
    "Status": "record.status",
    "current_experiment": "api.tracking",
    "experiment": "api.tracking",
    "tracked": "api.tracking",
}


if not TYPE_CHECKING:
    # Hidden from type checkers, which would accept every misspelt name because of it.
    def __getattr__(name: str) -> object:
        # Imported at first use, so that `import runbook` stays fast.
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        import importlib

        value: object = getattr(importlib.import_module(f"{__name__}.{_MODULES.get(name, 'errors')}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
