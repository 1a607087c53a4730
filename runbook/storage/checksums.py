"""Checksums of the files that an experiment saved: they show later whether a file has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

LARGEST: Final = 64 * 1024 * 1024
"""The largest file, in bytes, that gets a checksum; reading a larger one would delay the end of its experiment."""

_CHUNK: Final = 1024 * 1024


def compute(root: Path, paths: Iterable[Path]) -> dict[str, str]:
    """The checksums of the files that exist and are not too large, by their path in the folder.

    Args:
        root: the folder.
        paths: files in it.
    """
    found = {}
    for path in sorted(paths):
        checksum = _checksum(path)
        if checksum is not None:
            found[path.relative_to(root).as_posix()] = checksum
    return found


def find_mismatches(root: Path, recorded: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Each file that is missing or has changed, and in words which of the two.

    Args:
        root: the folder.
        recorded: what `compute` returned.
    """
    for name, checksum in recorded.items():
        path = root / name
        if not path.is_file():
            yield name, "is gone"
        elif _checksum(path) != checksum:
            yield name, "is not what was saved: its checksum differs"


def _checksum(path: Path) -> str | None:
    import hashlib

    digest = hashlib.sha256()
    try:
        size = path.stat().st_size
        if size > LARGEST:
            return None
        # Nearly all files are small: a buffer of a megabyte for each would be waste.
        with path.open("rb", buffering=0) as file:
            while chunk := file.read(min(_CHUNK, size + 1)):
                digest.update(chunk)
    except OSError:
        return None
    return f"sha256:{digest.hexdigest()}"
