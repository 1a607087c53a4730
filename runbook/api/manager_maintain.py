"""The upkeep of a base directory: what goes out, comes in, is deleted, mended, or said of experiments afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from runbook.api.manager_read import Asking

if TYPE_CHECKING:
    from datetime import timedelta
    from pathlib import Path

    from runbook.maintain.doctor import Finding
    from runbook.maintain.garbage import GarbageReport
    from runbook.read.listing import ExperimentList
    from runbook.transfer.merge import MergeReport
    from runbook.typing import ProgressHook, StrPath


class Keeping(Asking):
    """The part of `ExperimentManager` that looks after experiments from outside, whether they run or have ended."""

    def export_experiment(
        self, experiment_id: str, export_path: StrPath, *, progress: ProgressHook | None = None
    ) -> Path:
        """Copy an experiment, as a folder or as one file.

        Args:
            experiment_id: an id, the beginning of one, or a name.
            export_path: the directory that the copy of the folder goes into, under the experiment's id; or, when it
                ends in `.zip`, the file that is made, with a manifest of checksums.
            progress: called with how many bytes are copied, and how many there are; what it raises ends the export,
                and nothing of it is left.

        Returns:
            The path of the copy.

        Raises:
            ExperimentNotFoundError: if there is no such experiment.
            TargetExistsError: if there is something of that name already.
        """
        from pathlib import Path

        from runbook.transfer import bundle

        target = Path(export_path).expanduser()
        export = bundle.export_zip if target.suffix.lower() == ".zip" else bundle.export_folder
        return export(self.get_experiment(experiment_id), target, progress)

    def import_experiment(
        self,
        path: StrPath,
        on_conflict: Literal["rename", "skip", "error"] = "error",
        *,
        progress: ProgressHook | None = None,
    ) -> str | None:
        """Take in an experiment that was exported; nothing in it is ever unpickled or run.

        Args:
            path: a `.zip` of `export_experiment`, or a copy of an experiment's folder.
            on_conflict: what happens when another experiment has its id: "rename" gives it a free one, "skip" leaves
                it out, "error" raises. The same experiment with the same content is always left out.
            progress: called with how many bytes have been read and found true, and how many there are; what it
                raises ends the import, and nothing of it is left.

        Returns:
            Its id here; None if it was left out.

        Raises:
            BundleError: if it is not what it says; nothing is left behind.
            ExperimentExistsError: if its id is taken and `on_conflict` is "error".
        """
        from pathlib import Path

        from runbook.storage import base_directory
        from runbook.transfer import import_

        base_directory.prepare(self._layout)
        return import_.import_bundle(self._registry, Path(path).expanduser(), on_conflict, progress=progress)

    def merge(self, other_base_dir: StrPath, *, progress: ProgressHook | None = None) -> MergeReport:
        """Take in all experiments of another base directory.

        It is safe in any order, can be repeated, and can be interrupted and run again; nothing is overwritten. Of two
        states of one experiment the later one is kept and the earlier one goes into the trash; different experiments
        of one id are both kept, theirs under a free id.

        Args:
            other_base_dir: the other base directory; it is only read.
            progress: called with how many experiments are done, and how many there are; what it raises ends the
                merge, and what has come in by then is there whole.

        Returns:
            What became of each of its experiments.
        """
        from pathlib import Path

        from runbook.storage import base_directory
        from runbook.transfer import merge

        base_directory.prepare(self._layout)
        return merge.merge(self._registry, Path(other_base_dir).expanduser(), progress)

    def delete_experiment(self, experiment_id: str) -> Path:
        """Move an experiment into the trash, from where `restore_experiment` brings it back.

        Returns:
            Where it is now.

        Raises:
            ExperimentNotFoundError: if there is no such experiment.
            UsageError: if it is running.
        """
        from runbook.maintain import trash

        return trash.delete(self._registry, experiment_id)

    def restore_experiment(self, experiment_id: str) -> str:
        """Bring an experiment back from the trash.

        Returns:
            Its id.

        Raises:
            ExperimentNotFoundError: if it is not in the trash.
        """
        from runbook.maintain import trash

        return trash.restore(self._registry, experiment_id)

    def list_trash(self) -> ExperimentList:
        """The experiments in the trash, as `list_experiments` gives them, with `deleted_at`."""
        from runbook.maintain import trash
        from runbook.read.listing import ExperimentList

        return ExperimentList.of(trash.trashed(self._registry))

    def empty_trash(self) -> int:
        """Delete for good what is in the trash.

        Returns:
            How many experiments that were.
        """
        from runbook.maintain import trash

        return trash.empty(self._registry)

    def collect_garbage(
        self, *, trash_older_than: timedelta | None = None, dry_run: bool = False, progress: ProgressHook | None = None
    ) -> GarbageReport:
        """Make room: delete for good what is in the trash, and what dead processes left behind.

        No experiment is touched. What repairs and merges moved out of the way goes like what is in the trash.

        Args:
            trash_older_than: spare what was deleted more recently, and what nobody knows when; None spares nothing.
            dry_run: change nothing, and say what would go.
            progress: called with how many things are done, and how many there are.

        Returns:
            What went, or would go: `.experiments`, `.leftovers`, `.freed_bytes`, and what `.failed`.

        Raises:
            UsageError: if `trash_older_than` is negative.
            BaseDirectoryError: if there is a link in the place of the trash.

        Example:
            >>> manager.collect_garbage(trash_older_than=timedelta(days=30)).freed_bytes  # doctest: +SKIP
            1048576
        """
        from runbook.maintain import garbage

        return garbage.collect(self._registry, older_than=trash_older_than, is_dry_run=dry_run, progress=progress)

    def doctor(self) -> list[Finding]:
        """What is wrong in the base directory, in plain words with a hint, and what its disk promises.

        Nothing is changed.

        Example:
            >>> for finding in manager.doctor():  # doctest: +SKIP
            ...     print(finding)
        """
        from runbook.maintain import doctor

        return doctor.diagnose(self._registry)

    def repair(self) -> list[Finding]:
        """Mend what can be mended; what is in the way is moved into `.set-aside/`, nothing is deleted.

        Returns:
            What was found and mended.
        """
        from runbook.maintain import doctor

        return doctor.repair(self._registry)

    def declare_ended(self, experiment_id: str, status: str = "interrupted", notes: str | None = None) -> None:
        """Say that an experiment has ended which ran where nobody can look from here.

        Args:
            experiment_id: an id, the beginning of one, or a name.
            status: how it ended.
            notes: added to its notes.

        Raises:
            UsageError: if it is alive, or has ended already.
            UnknownStatusError: for a status by which no experiment ends.
        """
        from runbook.maintain import doctor
        from runbook.record import identifiers
        from runbook.run.experiment import ending_status

        found = identifiers.resolve_id(experiment_id, self._registry.summaries(), self._shown_base)
        doctor.declare_ended(self._registry, found, ending_status(status), notes)

    def add_note(self, experiment_id: str, text: str) -> None:
        """Add a note to an experiment from outside, whether it runs or has ended.

        It is a line of the experiment's `logs/annotations.jsonl`, and is shown below its own notes. Of one of the
        seed's tool, which has no record, it is kept in the registry.

        Args:
            experiment_id: an id, the beginning of one, or a name.
            text: the note; of several lines, if you like.

        Raises:
            ExperimentNotFoundError: if there is no such experiment.
            OSError: if it cannot be written.

        Example:
            >>> manager.add_note("baseline", "the loss explodes at epoch 3")  # doctest: +SKIP
        """
        from runbook.maintain.annotate import annotate

        annotate(self._registry, experiment_id, note=str(text))

    def add_tags(self, experiment_id: str, *tags: str) -> None:
        """Give an experiment tags from outside, whether it runs or has ended; for the rest see `add_note`."""
        from runbook.maintain.annotate import annotate
        from runbook.run.experiment import as_tags

        annotate(self._registry, experiment_id, tags=as_tags(tags))

    def remove_tags(self, experiment_id: str, *tags: str) -> None:
        """Take tags from an experiment; for the rest see `add_note`.

        A tag that it does not have is no error. What is said from outside has the last word: a tag that was taken
        away here is not shown again when the experiment itself adds it, only when `add_tags` does.
        """
        from runbook.maintain.annotate import annotate
        from runbook.run.experiment import as_tags

        annotate(self._registry, experiment_id, untags=as_tags(tags))
