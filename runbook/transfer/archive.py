"""Unpacks a bundle, which may come from an untrusted person, into a fresh folder.

`zipfile` alone does not check enough. Here, every name is checked against the rules in `runbook.transfer.bundle`, every
file against its local header, every size and checksum against the manifest, and the amount of data against limits while
it is read. Nothing in a bundle is ever run or unpickled.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import struct
import time
import zipfile
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO, Final

import attrs

from runbook import errors
from runbook.record import schema, upgrades
from runbook.record.layout import MANIFEST_FILE
from runbook.record.model import ExperimentRecord
from runbook.serialize import json_text
from runbook.storage import files
from runbook.storage.meter import Meter
from runbook.storage.staging import make_parents
from runbook.transfer.bundle import MOST_RATIO, BundledFile, Manifest, Names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runbook.typing import JsonObject, ProgressHook

_BLOCK: Final = 1024 * 1024
_RATIO_FROM: Final = 1024 * 1024
_MOST_MANIFEST: Final = 64 * 1024 * 1024
_LOCAL_HEADER: Final = struct.Struct("<4s5H3I2H")
_LOCAL_SIGNATURE: Final = b"PK\x03\x04"
_METHODS: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_UTF8_FLAG: Final = 0x800
_DEFLATE_FLAGS: Final = 0x6
_DIRECTORY_BIT: Final = 0x10
_UNREADABLE: Final = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    NotImplementedError,
    RuntimeError,
    EOFError,
    IndexError,
    OverflowError,
    ValueError,
)
"""The exceptions of `zipfile` for a file that is no zip file, or is damaged."""


@attrs.frozen
class Limits:
    """The largest amounts of data that a bundle may hold.

    Args:
        files: the number of files.
        total_bytes: the size of all files together, unpacked.
        ratio: the unpacked size of a file divided by its size in the bundle; checked from 1 MiB on.
    """

    files: int = 100_000
    total_bytes: int = 2**40
    ratio: int = MOST_RATIO


LIMITS: Final = Limits()


def unpack(path: Path, target: Path, limits: Limits = LIMITS, progress: ProgressHook | None = None) -> Manifest:
    """Unpack the files of a bundle into a folder, durably, and check each against the manifest.

    Args:
        path: the bundle.
        target: an empty folder.
        limits: the largest amounts of data that the bundle may hold.
        progress: called with the number of bytes that are unpacked and the total.

    Returns:
        The manifest of the bundle.

    Raises:
        BundleError: if it is damaged, breaks a rule or a limit; the files that are written by then remain.
        NewerFormatError: if a newer runbook made it.
        OSError: if it cannot be read, or a file cannot be written.
    """
    with path.open("rb") as raw:
        with _bundle_errors(path):
            bundle = _OpenBundle(path, zipfile.ZipFile(raw), limits)
            infos = bundle.check_files(raw)
            manifest = bundle.read_manifest(infos)
            bundle.check_contents(infos, manifest, shutil.disk_usage(target).free)
        meter = Meter(progress, sum(bundled.size for bundled in manifest.files))
        for bundled in manifest.files:
            bundle.extract(infos[f"{manifest.experiment_id}/{bundled.path}"], bundled, target, meter)
        meter.finish()
    return manifest


@contextlib.contextmanager
def _bundle_errors(path: Path, member: str | None = None) -> Iterator[None]:
    try:
        yield
    except errors.RunbookError:
        raise
    except _UNREADABLE as error:
        raise errors.BundleError(path, member, f"cannot be read as part of a zip file ({error})") from error


@attrs.frozen
class _OpenBundle:
    """A bundle that is being read.

    Args:
        path: the path of the bundle.
        archive: the open zip file.
        limits: the largest amounts of data that it may hold.
    """

    path: Path
    archive: zipfile.ZipFile
    limits: Limits

    def check_files(self, raw: BinaryIO) -> dict[str, zipfile.ZipInfo]:
        """The files in the directory of the zip file by name, after a check of each one's name and local header.

        Raises:
            BundleError: if one breaks a rule, or there are too many.
        """
        listed = self.archive.infolist()
        if len(listed) > self.limits.files + 1:
            raise errors.BundleError(self.path, None, f"holds {len(listed)} files, more than {self.limits.files}")
        names = Names()
        end = 0
        for info in sorted(listed, key=lambda info: info.header_offset):
            problem = (
                names.problem_with(info.filename) or _problem_with_info(info) or _problem_with_header(info, raw, end)
            )
            if problem is not None:
                raise errors.BundleError(self.path, info.filename, problem)
            # The check of the header has read up to the content.
            end = raw.tell() + info.compress_size
        if end != self.archive.start_dir:
            raise errors.BundleError(self.path, None, "holds something beside the files that its list names")
        return {info.filename: info for info in listed}

    def read_manifest(self, infos: dict[str, zipfile.ZipInfo]) -> Manifest:
        """The manifest of the bundle.

        Raises:
            BundleError: if it is missing, too large or damaged.
            NewerFormatError: if a newer runbook made it.
        """
        info = infos.get(MANIFEST_FILE)
        if info is None:
            problem = f"has no {MANIFEST_FILE}: it was not made by export_experiment"
            raise errors.BundleError(self.path, None, problem)
        with _bundle_errors(self.path, MANIFEST_FILE), self.archive.open(info) as file:
            raw = file.read(_MOST_MANIFEST + 1)
        if len(raw) > _MOST_MANIFEST:
            raise errors.BundleError(self.path, MANIFEST_FILE, f"is larger than {_MOST_MANIFEST} bytes")
        try:
            data = json_text.decode_object(raw, self.path)
            schema.check_version(data, Manifest, self.path)
            return self._decode_manifest(upgrades.upgrade(data, upgrades.MANIFEST_STEPS))
        except errors.DamagedFileError as error:
            raise errors.BundleError(self.path, MANIFEST_FILE, f"is damaged: {error.problem}") from error

    def _decode_manifest(self, data: JsonObject) -> Manifest:
        try:
            return schema.from_json(data, Manifest, self.path)
        except errors.DamagedFileError:
            # The record in the manifest has a version of its own, which may be the newer one.
            if isinstance(record := data.get("record"), dict):
                schema.check_version(record, ExperimentRecord, self.path)
            raise

    def check_contents(self, infos: dict[str, zipfile.ZipInfo], manifest: Manifest, free: int) -> None:
        """Compare the files of the zip file with the manifest, and their size with the limits and the disk.

        Args:
            infos: the files of the zip file, by name.
            manifest: the manifest.
            free: the number of free bytes on the disk.

        Raises:
            BundleError: if they differ, or are too large.
        """
        named = {f"{manifest.experiment_id}/{bundled.path}": bundled for bundled in manifest.files}
        if len(named) != len(manifest.files):
            raise errors.BundleError(self.path, MANIFEST_FILE, "names a file twice")
        for name in sorted(named.keys() ^ (infos.keys() - {MANIFEST_FILE})):
            where = f"is in {MANIFEST_FILE}, but not in the bundle" if name in named else f"is not in {MANIFEST_FILE}"
            raise errors.BundleError(self.path, name, where)
        for name, bundled in named.items():
            if infos[name].file_size != bundled.size:
                problem = f"has {infos[name].file_size} bytes, and {bundled.size} by {MANIFEST_FILE}"
                raise errors.BundleError(self.path, name, problem)
        total = sum(bundled.size for bundled in manifest.files)
        if total > self.limits.total_bytes:
            raise errors.BundleError(self.path, None, f"holds {total} bytes, more than {self.limits.total_bytes}")
        if total > free:
            hint = "nothing was imported; make room, or use another base directory"
            raise errors.BundleError(self.path, None, f"holds {total} bytes, and the disk has {free} left", hint)

    def extract(self, info: zipfile.ZipInfo, bundled: BundledFile, target: Path, meter: Meter) -> None:
        """Write one file of the bundle into a folder.

        Raises:
            BundleError: if its size or its checksum is not that of the manifest.
        """
        copy = make_parents(target, bundled.path)
        with _bundle_errors(self.path, info.filename):
            source = self.archive.open(info)
        with source, files.replacing(copy, sync_directory=False) as file:
            digest = self._copy(source, file, info, bundled, meter)
            if digest != bundled.sha256.lower():
                problem = f"is not what {MANIFEST_FILE} says: its size or its checksum differs"
                raise errors.BundleError(self.path, info.filename, problem)
        # A time in the future would put the last sign of life into the future.
        modified_ns = max(0, min(bundled.modified_ns, time.time_ns()))
        os.utime(copy, ns=(modified_ns, modified_ns))

    def _copy(
        self, source: IO[bytes], target: BinaryIO, info: zipfile.ZipInfo, bundled: BundledFile, meter: Meter
    ) -> str:
        """Copy a file, and return its checksum.

        Raises:
            BundleError: if it is larger than the manifest has it, or unpacks to too many times its size.
        """
        digest = hashlib.sha256()
        size = 0
        while block := self._read(source, info):
            size += len(block)
            if size > bundled.size:
                problem = f"has more than the {bundled.size} bytes that {MANIFEST_FILE} says"
                raise errors.BundleError(self.path, info.filename, problem)
            if size > _RATIO_FROM and size > self.limits.ratio * info.compress_size:
                problem = f"unpacks to more than {self.limits.ratio} times its size, as a bomb does"
                raise errors.BundleError(self.path, info.filename, problem)
            digest.update(block)
            target.write(block)
            meter.advance(len(block))
        return digest.hexdigest()

    def _read(self, source: IO[bytes], info: zipfile.ZipInfo) -> bytes:
        # Only around the read: an error of the write, or of a hook, is no error of the bundle.
        with _bundle_errors(self.path, info.filename):
            return source.read(_BLOCK)


def _problem_with_info(info: zipfile.ZipInfo) -> str | None:
    """What is wrong with a file, by its row in the directory of the zip file; None if nothing is."""
    kind = stat.S_IFMT(info.external_attr >> 16)
    if info.is_dir() or kind not in {0, stat.S_IFREG} or info.external_attr & _DIRECTORY_BIT:
        return "is not a regular file"
    if info.orig_filename != info.filename:
        return f"goes by another name as well: {info.orig_filename!r}"
    if info.flag_bits & ~(_UTF8_FLAG | _DEFLATE_FLAGS):
        return "is encrypted, or stored in a way that we do not use"
    if info.compress_type not in _METHODS:
        return "is compressed in a way that we do not use"
    return None


def _problem_with_header(info: zipfile.ZipInfo, raw: BinaryIO, end: int) -> str | None:
    """What is wrong with the local header of a file; None if nothing is, and `raw` is at its content then.

    Args:
        info: its row in the directory of the zip file.
        raw: the bundle.
        end: the offset at which the file before it ends.
    """
    if info.header_offset != end:
        return "overlaps another file, or lies behind something that no list names"
    raw.seek(end)
    signature, _, flags, method, *_, name_length, extra_length = _LOCAL_HEADER.unpack(raw.read(_LOCAL_HEADER.size))
    name = raw.read(name_length).decode("utf-8" if flags & _UTF8_FLAG else "cp437")
    if signature != _LOCAL_SIGNATURE or name != info.filename or method != info.compress_type:
        return "is not where, or what, the list says"
    raw.seek(extra_length, os.SEEK_CUR)
    return None
