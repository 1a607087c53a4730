"""The entry that the folder of one experiment calls for."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from runbook import errors
from runbook.index import pending
from runbook.messages import warn_once
from runbook.record import registry_entry
from runbook.record.status import Status
from runbook.serialize import json_text
from runbook.storage import annotation_log, current_record

if TYPE_CHECKING:
    from runbook.record.layout import BaseLayout, ExperimentLayout
    from runbook.record.model import ExperimentRecord
    from runbook.typing import JsonObject


def entry_of_folder(
    base: BaseLayout,
    experiment_id: str,
    directory: str,
    old: JsonObject,
    written: ExperimentRecord | None = None,
    *,
    record_deaths: bool = False,
) -> JsonObject | None:
    """The line that an experiment's folder calls for; None when the folder says nothing.

    Args:
        base: where the folder lies.
        experiment_id: which.
        directory: its folder as people should see it.
        old: its line in the index, as far as there is one; fields that only it knows are kept.
        written: its record, from the process that writes it; None reads it, and looks whether its process is dead.
        record_deaths: whether the end of one whose process is dead is recorded as well; that needs the lock.
    """
    layout = base.experiment(experiment_id)
    try:
        record, is_dead = (written, False) if written else current_record.resolve_record(base, experiment_id)
    except (FileNotFoundError, NotADirectoryError):
        # The legacy tool wrote no record. One of ours that is just being made has no config.json yet.
        if old or not layout.config.is_file():
            return None
    except (errors.DamagedFileError, errors.NewerFormatError, OSError) as error:
        warn_once(f"damaged {layout.root}", f"{experiment_id}: {error}")
    else:
        if record_deaths and is_dead:
            current_record.write_death(base, record)
        return {**old, **_entry_of_record(base, record, directory, old)}
    config = old.get("config") or _config_of(layout)
    record = current_record.unknown_record(experiment_id, config if isinstance(config, dict) else {})
    return {**registry_entry.build_entry(record, directory), **old, "status": Status.UNKNOWN.value}


def _entry_of_record(base: BaseLayout, record: ExperimentRecord, directory: str, old: JsonObject) -> JsonObject:
    """The line of a record, with what is said from outside; where that cannot be read, with what the old line said."""
    layout = base.experiment(record.experiment_id)
    try:
        return registry_entry.build_entry(annotation_log.with_annotations(record, layout), directory)
    except OSError as error:
        annotation_log.warn_unreadable(layout, error)
        # Whoever folds or reads next looks again: without a mark, what was said would stay hidden.
        with contextlib.suppress(OSError):
            pending.mark(base, record.experiment_id)
        said: JsonObject = {key: old[key] for key in ("notes", "tags") if key in old}
        return {**registry_entry.build_entry(record, directory), **said}


def _config_of(layout: ExperimentLayout) -> JsonObject:
    try:
        return json_text.read_object(layout.config)
    except (errors.DamagedFileError, OSError):
        return {}
