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
    """The entry that the folder of an experiment calls for; None where the folder tells nothing.

    Args:
        base: where the folder lies.
        experiment_id: which.
        directory: its folder as the user should see it.
        old: its present entry, as far as there is one; fields that only this entry has are kept.
        written: its record, from the process that writes it; None reads it and checks whether the process is alive.
        record_deaths: whether to record the end of one whose process is dead; that needs the lock.
    """
    layout = base.experiment(experiment_id)
    try:
        record, is_dead = (written, False) if written else current_record.resolve_record(base, experiment_id)
    except (FileNotFoundError, NotADirectoryError):
        # The legacy tool wrote no record. A folder of ours that is just being made has no config.json yet.
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
    """The entry of a record with its annotations; where these cannot be read, with those of the old entry."""
    layout = base.experiment(record.experiment_id)
    try:
        return registry_entry.build_entry(annotation_log.with_annotations(record, layout), directory)
    except OSError as error:
        annotation_log.warn_unreadable(layout, error)
        # Without a mark nobody would look again, and the annotations would stay hidden.
        with contextlib.suppress(OSError):
            pending.mark(base, record.experiment_id)
        kept: JsonObject = {key: old[key] for key in ("notes", "tags") if key in old}
        return {**registry_entry.build_entry(record, directory), **kept}


def _config_of(layout: ExperimentLayout) -> JsonObject:
    try:
        return json_text.read_object(layout.config)
    except (errors.DamagedFileError, OSError):
        return {}
