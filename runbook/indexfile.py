"""The registry file on the disk: read, brought into our form, and built anew from the folders where it is damaged."""

from __future__ import annotations

import errno
import io
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from runbook import errors, files, identity, index
from runbook.notices import warn

if TYPE_CHECKING:
    from typing import BinaryIO

    from runbook.folders import Folders
    from runbook.layout import BaseLayout
    from runbook.typing import JsonObject

_BUFFER: Final = 2**20
"""In bytes; the usual one makes a call of the system for every eighth line."""


class IndexFile:
    """The registry file of one base directory.

    Args:
        layout: where things are.
        folders: what it is built from where it is damaged.
    """

    def __init__(self, layout: BaseLayout, folders: Folders) -> None:
        self._path = layout.registry
        self._folders = folders

    def read(self) -> bytes:
        """What is in it; an empty registry where there is no file.

        Raises:
            DamagedFileError: if it is no file.
        """
        with self._open() as file:
            return file.read()

    def lines(self) -> list[bytes]:
        """The same as lines, each with its end."""
        with self._open() as file:
            return file.readlines()

    def _open(self) -> BinaryIO:
        try:
            return self._path.open("rb", buffering=_BUFFER)
        except FileNotFoundError:
            return io.BytesIO(index.EMPTY)
        except OSError as error:
            if error.errno not in {errno.EISDIR, errno.ELOOP}:
                raise
            raise errors.DamagedFileError(self._path, f"it is no file ({error.strerror})") from error

    def write(self, raw: bytes, *, sync_directory: bool = True) -> None:
        """Replace what is in it; the lock must be held.

        Args:
            raw: the registry.
            sync_directory: whether its name has to survive a power cut, too.

        Raises:
            OSError: if it cannot be written.
        """
        files.write_whole(self._path, raw, is_locked=True, sync_directory=sync_directory)

    def spliceable(self, *, verify: bool = False) -> bytes:
        """The registry in our form, whatever is there now; the lock must be held.

        Args:
            verify: decode every line of it, too, which costs time in proportion to its size.

        Raises:
            OSError: if it cannot be read, or a damaged one cannot be moved away.
        """
        try:
            raw = self.read()
            if index.is_spliceable(raw) and not verify:
                return raw
            entries = index.decode(raw, self._path)
            return raw if index.is_spliceable(raw) else index.encode(entries, index.others_of(raw, self._path))
        except errors.DamagedFileError as error:
            return index.encode(self.set_aside(error))

    def set_aside(self, error: errors.DamagedFileError) -> list[JsonObject]:
        """Move a damaged registry out of the way and give its entries anew; the lock must be held."""
        entries = self.rebuilt()
        aside = self._path.with_name(f"{self._path.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S.%f}")
        self._path.rename(aside)
        warn(
            f"{self._path} could not be understood ({error.problem}); it was moved to {aside.name} "
            f"and rebuilt from the folders: {len(entries)} experiments"
        )
        return entries

    def rebuilt(self) -> list[JsonObject]:
        """The entries of all that can be found: in what is left of the file, and in the folders."""
        try:
            salvaged = index.salvage(self.read())
        except errors.DamagedFileError:
            salvaged = []
        listed = [entry for entry in salvaged if identity.is_folder_name(str(entry["experiment_id"]))]
        by_id = index.by_id(listed)
        fresh = self._folders.fresh(by_id, self._folders.ids() | by_id.keys())
        current = {experiment_id: entry for experiment_id, entry in {**by_id, **fresh}.items() if entry is not None}
        return [current[experiment_id] for experiment_id in sorted(current)]
