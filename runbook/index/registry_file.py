"""The registry file on the disk: reading it, giving it one entry a line, and rebuilding it where it is damaged."""

from __future__ import annotations

import errno
import io
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from runbook import errors
from runbook.index import registry_format
from runbook.messages import warn
from runbook.record import identifiers
from runbook.storage import files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from runbook.index.folders import Folders
    from runbook.record.layout import BaseLayout
    from runbook.typing import JsonObject


class IndexFile:
    """The registry file of one base directory.

    Args:
        layout: where things are.
        folders: the experiments that it is rebuilt from where it is damaged.
    """

    def __init__(self, layout: BaseLayout, folders: Folders) -> None:
        self._path = layout.registry
        self._folders = folders

    def read(self) -> bytes:
        """The content; an empty registry where there is no file.

        Raises:
            DamagedFileError: if it is no file.
        """
        with self._open() as file:
            return file.read()

    def blocks(self) -> Iterator[dict[str, JsonObject]]:
        """The entries of a registry with one entry a line by their ids, some at a time.

        Raises:
            DamagedFileError: if it has another form, has an id twice or cannot be read; what came before does not
                count then.
        """
        with self._open() as file:
            yield from registry_format.blocks(file, self._path)

    def entries(self) -> dict[str, JsonObject]:
        """The entries by their ids, whoever wrote it.

        Raises:
            DamagedFileError: if it is not a registry.
        """
        return registry_format.decode(self.read(), self._path)

    def _open(self) -> BinaryIO:
        try:
            return self._path.open("rb")
        except FileNotFoundError:
            return io.BytesIO(registry_format.EMPTY)
        except OSError as error:
            if error.errno not in {errno.EISDIR, errno.ELOOP}:
                raise
            raise errors.DamagedFileError(self._path, f"it is no file ({error.strerror})") from error

    def write(self, raw: bytes, *, sync_directory: bool = True) -> None:
        """Replace the content; the lock must be held.

        Args:
            raw: the registry.
            sync_directory: whether its name has to survive a power cut as well.

        Raises:
            OSError: if it cannot be written.
        """
        files.write_whole(self._path, raw, is_locked=True, sync_directory=sync_directory)

    def with_entry_lines(self, *, verify: bool = False) -> bytes:
        """The registry with one entry a line, whatever is there now; the lock must be held.

        Args:
            verify: decode every entry as well, which takes time in proportion to the size.

        Raises:
            OSError: if it cannot be read, or a damaged one cannot be quarantined.
        """
        try:
            raw = self.read()
            if registry_format.has_entry_lines(raw) and not verify:
                return raw
            entries = registry_format.decode(raw, self._path)
            if registry_format.has_entry_lines(raw):
                return raw
            return registry_format.encode(entries.values(), registry_format.read_other_fields(raw, self._path))
        except errors.DamagedFileError as error:
            return registry_format.encode(self.quarantine(error))

    def quarantine(self, error: errors.DamagedFileError) -> list[JsonObject]:
        """Quarantine a damaged registry and return its entries, rebuilt; the lock must be held."""
        entries = self.rebuilt()
        aside = self._path.with_name(f"{self._path.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S.%f}")
        self._path.rename(aside)
        warn(
            f"{self._path} could not be understood ({error.problem}); it was moved to {aside.name} "
            f"and rebuilt from the folders: {len(entries)} experiments"
        )
        return entries

    def rebuilt(self) -> list[JsonObject]:
        """The entries of all experiments that are found in what is left of the file, and in the folders."""
        try:
            recovered = registry_format.recover(self.read())
        except errors.DamagedFileError:
            recovered = {}
        listed = {one: entry for one, entry in recovered.items() if identifiers.is_folder_name(one)}
        fresh = self._folders.fresh(listed, self._folders.ids() | listed.keys())
        current = {one: entry for one, entry in {**listed, **fresh}.items() if entry is not None}
        return [current[one] for one in sorted(current)]
