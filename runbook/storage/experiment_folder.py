"""The folder of one experiment: its birth, and the record that is the truth about it."""

from __future__ import annotations

import contextlib
import errno
from typing import TYPE_CHECKING, Final

import attrs

from runbook import errors
from runbook.record import identifiers, schema
from runbook.record.model import RECORD_VERSION, ExperimentRecord
from runbook.serialize import json_text
from runbook.storage import base_directory, files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runbook.record.layout import BaseLayout, ExperimentLayout
    from runbook.record.model import Capture, Environment

_MOST_OF_ONE_SECOND: Final = 100_000


def reserve(layout: BaseLayout, draft: ExperimentRecord) -> ExperimentRecord:
    """Make the folder of a new experiment.

    The exclusive mkdir reserves the id: of any number of processes that start the same config in the same second,
    each gets a folder of its own.

    Args:
        layout: the base directory; it must be prepared.
        draft: the record; its id is replaced by the one that was free.

    Returns:
        The record with its id.

    Raises:
        BaseDirectoryError: if the folder cannot be made.
    """
    try:
        return _reserve(layout, draft)
    except OSError as error:
        raise base_directory.refused(layout.root, error) from error


@contextlib.contextmanager
def undone_on_error(layout: BaseLayout, folder: ExperimentLayout) -> Iterator[None]:
    """Take back a reserved folder when its experiment cannot start after all; nobody has been told of it.

    Raises:
        BaseDirectoryError: for an error of the disk.
    """
    try:
        yield
    except BaseException as error:
        import shutil

        shutil.rmtree(folder.root, ignore_errors=True)
        if isinstance(error, OSError):
            raise base_directory.refused(layout.root, error) from error
        raise


def write_initial_files(folder: ExperimentLayout, record: ExperimentRecord, capture: Capture) -> None:
    """Fill the reserved folder of a new experiment; it is durable when this returns.

    Raises:
        OSError: if the disk does not take it.
    """
    for inner in folder.folders:
        files.make_directory(inner)
    # The record first: a folder with a config but without a record was never an experiment of ours.
    files.write_whole(folder.record, _encoded(record), sync_directory=False)
    files.write_whole(folder.config, json_text.encode(record.config), sync_directory=False)
    if capture.patch is not None:
        files.write_whole(folder.patch, capture.patch, sync_directory=False)
    files.write_whole(folder.environment, _environment(capture.environment))
    files.fsync_directory(folder.root)
    files.fsync_directory(folder.root.parent)


def write_attempt_files(folder: ExperimentLayout, record: ExperimentRecord, capture: Capture) -> None:
    """Write what another attempt at an experiment runs on, beside what the earlier ones ran on.

    Raises:
        OSError: if the disk does not take it.
    """
    attempt = len(record.attempts)
    if record.attempts[-1].config_changes:
        files.write_whole(folder.config, json_text.encode(record.config))
    if capture.patch is not None:
        files.write_whole(folder.patch_of(attempt), capture.patch)
    files.write_whole(folder.environment_of(attempt), _environment(capture.environment))


def _encoded(record: ExperimentRecord) -> bytes:
    return json_text.encode_fields(schema.to_json(record))


def _environment(environment: Environment) -> bytes:
    """The file of an environment; the experiments of one process have the same, with hundreds of packages."""
    global _last_environment  # noqa: PLW0603
    known, encoded = _last_environment
    if environment != known:
        encoded = json_text.encode(schema.to_json(environment))
        _last_environment = environment, encoded
    return encoded


_last_environment: tuple[Environment | None, bytes] = (None, b"")


def _reserve(layout: BaseLayout, draft: ExperimentRecord) -> ExperimentRecord:
    global _last_reserved  # noqa: PLW0603
    # A quick sweep starts hundreds of one name in a second: those that this process made need not be tried again.
    wanted = identifiers.make_id(draft.timestamp, draft.custom_name, draft.config_hash)
    place = str(layout.root / wanted)
    for nth in range(_last_reserved[1] + 1 if _last_reserved[0] == place else 1, _MOST_OF_ONE_SECOND):
        experiment_id = identifiers.make_id(draft.timestamp, draft.custom_name, draft.config_hash, nth)
        try:
            files.make_directory(layout.root / experiment_id)
        except FileExistsError:
            continue
        _last_reserved = place, nth
        return attrs.evolve(draft, experiment_id=experiment_id)
    raise FileExistsError(errno.EEXIST, "more experiments than there are ids for one second", str(layout.root))


_last_reserved: tuple[str, int] = ("", 0)


def read_record(folder: ExperimentLayout) -> ExperimentRecord:
    """The record of an experiment.

    Raises:
        FileNotFoundError: if the folder has none: it is not ours, or is just being made.
        DamagedFileError: if it cannot be understood.
        NewerFormatError: if a newer runbook wrote it in a way that this one cannot read.
    """
    record = schema.from_json(json_text.read_object(folder.record), ExperimentRecord, folder.record)
    if record.experiment_id != folder.root.name:
        # A folder that was renamed or copied by hand is the experiment that its name says.
        record = attrs.evolve(record, experiment_id=folder.root.name)
    return record


def write_record(folder: ExperimentLayout, record: ExperimentRecord) -> None:
    """Replace the record of an experiment; only the experiment itself does this.

    Raises:
        NewerFormatError: if the record was read from a file of a newer runbook.
        OSError: if it could not be written; the record on disk is the one from before.
    """
    if record.format_version > RECORD_VERSION:
        raise errors.NewerFormatError(folder.record, record.format_version, RECORD_VERSION)
    files.write_whole(folder.record, _encoded(record))
