"""Experiments that a program begins and ends by separate calls, `create_experiment` and `mark_complete`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook import errors
from runbook.messages import warn
from runbook.run import endings, lifecycle
from runbook.run.plan import make_plan

if TYPE_CHECKING:
    from runbook.index import Index
    from runbook.run.experiment import Experiment
    from runbook.run.lifecycle import Lifecycle


class ManualRuns:
    """The experiments that one manager has begun, and which of them a call without an id means.

    Args:
        index: finds the experiments of the base directory of the manager.
    """

    def __init__(self, index: Index) -> None:
        self._index = index
        self._created: list[Lifecycle] = []

    def create(self, config: object, name: str | None, description: str | None, index: Index | None) -> Experiment:
        """Begin an experiment; one that this thread has begun before and not ended is abandoned for it.

        Args:
            config: the settings.
            name: of the experiment.
            description: what it tests.
            index: where it is entered; None where tracking is disabled.
        """
        plan = make_plan(config, name=name, description=description)
        for former in [life for life in lifecycle.open_here() if life in self._created]:
            warn(f"{former.experiment.id} was never marked complete and is abandoned for a new experiment")
            former.close(ending=endings.ABANDONED)
        life = lifecycle.Lifecycle(plan, index, is_manual=True)
        experiment = life.open()
        life.activate()
        self._created = [*(other for other in self._created if other.is_open), life]
        return experiment

    def mark_complete(self, status: str, notes: str | None) -> None:
        """End the active experiment as the program says."""
        experiment = self.active("mark_complete")
        life = lifecycle.lifecycle_of(experiment)
        if life is not None and life.is_manual:
            life.mark(status, notes)
        else:
            experiment.finish(status, notes)

    def active(self, operation: str) -> Experiment:
        """The experiment that a call without an id means.

        Raises:
            NoActiveExperimentError: if there is none, or if that is not clear.
        """
        here = list(lifecycle.open_here())
        # Its own before those of another manager of the same base directory.
        for life in here:
            if life.index is self._index:
                return life.experiment
        for life in here:
            if life.experiment.path.parent == self._index.layout.root:
                return life.experiment
        # A helper thread saves into what the program runs, as long as there is no doubt which that is.
        running = [life for life in self._created if life.is_open]
        if len(running) == 1:
            return running[0].experiment
        if running:
            raise errors.NoActiveExperimentError(
                operation, f"{len(running)} experiments are active, none of them started by this thread"
            )
        raise errors.NoActiveExperimentError(operation)
