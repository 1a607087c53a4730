"""The folder of one experiment: making it with its initial files, and reading and writing its record."""

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
    """Make the folder of a new experiment, and thereby reserve its id.

    mkdir fails where the folder exists, so each of any number of processes that start the same config in the same
    second gets a folder of its own.

    Args:
        layout: the base directory; it must be prepared.
        draft: the record; its id is replaced by the reserved one.

    Returns:
        The record with the reserved id.

    Raises:
        BaseDirectoryError: if the folder cannot be made.
    """
    try:
        return _reserve(layout, draft)
    except OSError as error:
        raise base_directory.build_error(layout.root, error) from error


@contextlib.contextmanager
def undone_on_error(layout: BaseLayout, folder: ExperimentLayout) -> Iterator[None]:
    """A block that removes a reserved folder when it fails, because the experiment cannot start after all.

    Raises:
        BaseDirectoryError: if the block raises an OSError.
    """
    try:
        yield
    except BaseException as error:
        import shutil

        shutil.rmtree(folder.root, ignore_errors=True)
        if isinstance(error, OSError):
            raise base_directory.build_error(layout.root, error) from error
        raise


def write_initial_files(folder: ExperimentLayout, record: ExperimentRecord, capture: Capture) -> None:
    """Write the initial files of a new experiment into its reserved folder; they are durable when this returns.

    Raises:
        OSError: if one cannot be written.
    """
    for inner in folder.folders:
        files.make_directory(inner)
    # The record first: readers take a folder with a config and without a record for one of the legacy tool.
    files.write_whole(folder.record, _encode_record(record), sync_directory=False)
    files.write_whole(folder.config, json_text.encode(record.config), sync_directory=False)
    if capture.patch is not None:
        files.write_whole(folder.patch, capture.patch, sync_directory=False)
    files.write_whole(folder.environment, _encode_environment(capture.environment))
    files.fsync_directory(folder.root)
    files.fsync_directory(folder.root.parent)


def write_attempt_files(folder: ExperimentLayout, record: ExperimentRecord, capture: Capture) -> None:
    """Write the environment, and the patch and the changed config if any, of another attempt at an experiment.

    The files of earlier attempts stay, but for the config.

    Raises:
        OSError: if one cannot be written.
    """
    attempt = len(record.attempts)
    if record.attempts[-1].config_changes:
        files.write_whole(folder.config, json_text.encode(record.config))
    if capture.patch is not None:
        files.write_whole(folder.patch_of(attempt), capture.patch)
    files.write_whole(folder.environment_of(attempt), _encode_environment(capture.environment))


def _encode_record(record: ExperimentRecord) -> bytes:
    return json_text.encode_fields(schema.to_json(record))


def _encode_environment(environment: Environment) -> bytes:
    """The content of an environment file.

    The last one is kept: the experiments of one process have the same environment, with hundreds of packages.
    """
    global _last_environment  # noqa: PLW0603
    known, encoded = _last_environment
    if environment != known:
        encoded = json_text.encode(schema.to_json(environment))
        _last_environment = environment, encoded
    return encoded


_last_environment: tuple[Environment | None, bytes] = (None, b"")


def _reserve(layout: BaseLayout, draft: ExperimentRecord) -> ExperimentRecord:
    global _last_reserved  # noqa: PLW0603
    # A quick sweep starts hundreds of one name in a second: begin after the last number that this process reserved.
    wanted = identifiers.make_id(draft.timestamp, draft.custom_name, draft.config_hash)
    first_path = str(layout.root / wanted)
    for nth in range(_last_reserved[1] + 1 if _last_reserved[0] == first_path else 1, _MOST_OF_ONE_SECOND):
        experiment_id = identifiers.make_id(draft.timestamp, draft.custom_name, draft.config_hash, nth)
        try:
            files.make_directory(layout.root / experiment_id)
        except FileExistsError:
            continue
        _last_reserved = first_path, nth
        return attrs.evolve(draft, experiment_id=experiment_id)
    raise FileExistsError(errno.EEXIST, "more experiments than there are ids for one second", str(layout.root))


_last_reserved: tuple[str, int] = ("", 0)


def read_record(folder: ExperimentLayout) -> ExperimentRecord:
    """The record of an experiment.

    Raises:
        FileNotFoundError: if the folder has none: the legacy tool made it, or a process is making it at this moment.
        DamagedFileError: if it cannot be understood.
        NewerFormatError: if a newer runbook wrote it in a way that this one cannot read.
    """
    record = schema.from_json(json_text.read_object(folder.record), ExperimentRecord, folder.record)
    if record.experiment_id != folder.root.name:
        # Somebody has renamed or copied the folder by hand: its name counts, not the id in its record.
        record = attrs.evolve(record, experiment_id=folder.root.name)
    return record


def write_record(folder: ExperimentLayout, record: ExperimentRecord) -> None:
    """Replace the record of an experiment; only the experiment itself does this.

    Raises:
        NewerFormatError: if the record was read from a file of a newer runbook.
        OSError: if it could not be written; the record on disk has not changed then.
    """
    if record.format_version > RECORD_VERSION:
        raise errors.NewerFormatError(folder.record, record.format_version, RECORD_VERSION)
    files.write_whole(folder.record, _encode_record(record))
