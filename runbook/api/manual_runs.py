"""Experiments that a program starts by `create_experiment` and ends by `mark_complete`."""

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
    """Starts the experiments of one manager, and finds the one that a call without an id means.

    Args:
        index: the index of the manager's base directory.
    """

    def __init__(self, index: Index) -> None:
        self._index = index
        self._created: list[Lifecycle] = []

    def create(self, config: object, name: str | None, description: str | None, index: Index | None) -> Experiment:
        """A new experiment; an experiment that this thread has started before and not ended is abandoned.

        Args:
            config: the settings.
            name: the name of the experiment.
            description: what it tests.
            index: the index that it goes into; None if tracking is disabled.
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
        """End the active experiment with a status that the program gives."""
        experiment = self.active("mark_complete")
        life = lifecycle.lifecycle_of(experiment)
        if life is not None and life.is_manual:
            life.mark(status, notes)
        else:
            experiment.finish(status, notes)

    def active(self, operation: str) -> Experiment:
        """The experiment that a call without an id means.

        Args:
            operation: the method that was called, for the message.

        Raises:
            NoActiveExperimentError: if there is none, or if there are several and none is of this thread.
        """
        here = list(lifecycle.open_here())
        # Experiments of this manager come before those of another manager of the same base directory.
        for life in here:
            if life.index is self._index:
                return life.experiment
        for life in here:
            if life.experiment.path.parent == self._index.layout.root:
                return life.experiment
        # A helper thread has started no experiment: it means the one that runs, if there is only one.
        running = [life for life in self._created if life.is_open]
        if len(running) == 1:
            return running[0].experiment
        if running:
            raise errors.NoActiveExperimentError(
                operation, f"{len(running)} experiments are active, none of them started by this thread"
            )
        raise errors.NoActiveExperimentError(operation)
