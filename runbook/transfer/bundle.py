"""Exports an experiment as a folder, or as a bundle: one zip file with a manifest.

A bundle holds the files of the experiment as `<id>/…`, regular files only, and after them `runbook-manifest.json` with
the record and the size and SHA-256 of each file. The same folder gives a bundle of the same bytes.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import stat
import unicodedata
import zipfile
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import attrs

from runbook import errors
from runbook.messages import warn
from runbook.read.view import layout_of, record_of
from runbook.record import identifiers, schema
from runbook.record.layout import MANIFEST_FILE, ExperimentLayout
from runbook.record.model import ExperimentRecord
from runbook.record.status import Status
from runbook.serialize import json_text
from runbook.storage import experiment_folder, files
from runbook.storage.meter import Meter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from runbook.read.view import ExperimentView
    from runbook.typing import ProgressHook

MANIFEST_VERSION: Final = 1
"""The version of the format of `runbook-manifest.json`; the rules are those of `model.RECORD_VERSION`."""

MOST_RATIO: Final = 200
"""The largest unpacked size of a file divided by its size in the bundle; more counts as a zip bomb."""

_DEFLATED_UP_TO: Final = 8 * 1024 * 1024
"""The largest file, in bytes, that is compressed. Checkpoints hardly shrink, and only a file that is held in memory can
be compressed first, to see whether it would shrink by more than `MOST_RATIO` allows."""

_WORTH_DEFLATING: Final = 0.9
_BLOCK: Final = 1024 * 1024
_NAME_BYTES: Final = 255
_PATH_BYTES: Final = 1024
_MOST_NAMED: Final = 5
_FORBIDDEN: Final = frozenset('<>:"/\\|?*')
_ALLOWED_KINDS: Final = "LMNPS"
_TEMPORARY: Final = re.compile(r"\..+\.\d+\.(?:tmp|new|old)")
_OLDEST_DATE: Final = datetime(1980, 1, 1, tzinfo=UTC)
_LATEST_DATE: Final = datetime(2107, 12, 31, tzinfo=UTC)


@attrs.frozen
class BundledFile:
    """One file in a bundle.

    Args:
        path: its path in the experiment's folder, with slashes.
        size: in bytes.
        sha256: the SHA-256 of its content, in hex digits.
        modified_ns: the time of its last change, in nanoseconds since 1970.
    """

    path: str
    size: int
    sha256: str
    modified_ns: int


@attrs.frozen
class Manifest:
    """The content of `runbook-manifest.json` in a bundle.

    Args:
        experiment_id: the name of the folder in the bundle.
        record: the record when the bundle was made; the experiment may have been running then.
        files: every file in the bundle but the manifest.
        format_version: the version of the format of the manifest.
    """

    experiment_id: str
    record: ExperimentRecord
    files: tuple[BundledFile, ...]
    format_version: int = MANIFEST_VERSION


@attrs.frozen
class Member:
    """A file of an experiment's folder.

    Args:
        name: its path in the folder, with slashes.
        path: the path of its content, with links followed.
        size: in bytes.
        modified_ns: the time of its last change, in nanoseconds since 1970.
    """

    name: str
    path: Path
    size: int
    modified_ns: int


def export_folder(view: ExperimentView, directory: Path, progress: ProgressHook | None = None) -> Path:
    """Copy an experiment's folder into a directory, completely or not at all.

    Args:
        view: the experiment.
        directory: gets the copy, under the experiment's id; made if it does not exist.
        progress: called with the number of bytes that are copied and the total.

    Returns:
        The path of the copy.

    Raises:
        TargetExistsError: if anything has that name already.
        OSError: if it cannot be copied.
    """
    target = directory / view.id
    if target.exists() or target.is_symlink():
        raise errors.TargetExistsError(target)
    directory.mkdir(parents=True, exist_ok=True)
    # The directory may be inside of the experiment; the copy must not contain itself.
    meter = Meter(progress, files.size_of_tree(view.path, directory))
    files.copy_tree(view.path, target, directory, copied=meter.advance)
    meter.finish()
    return target


def export_zip(view: ExperimentView, path: Path, progress: ProgressHook | None = None) -> Path:
    """Write an experiment's folder into one zip file, which appears completely or not at all.

    Symbolic links that stay inside of the folder are stored as the files that they point to. Other links, and what is
    neither file nor folder, are left out and named in a warning. A running experiment is stored as it is at this
    moment, and its record in the manifest has the status running.

    Args:
        view: the experiment.
        path: the file to make, usually ending in `.zip`; its directory is made if it does not exist.
        progress: called with the number of bytes that are stored and the total.

    Returns:
        The path of the file.

    Raises:
        TargetExistsError: if anything has that name already.
        BundleError: if a file has a name that not every system can hold.
        OSError: if a file cannot be read, or the bundle cannot be written.
    """
    _check_free(path)
    found = members(view.path)
    _check_names(path, view.id, found)
    path.parent.mkdir(parents=True, exist_ok=True)
    meter = Meter(progress, sum(member.size for member in found))
    with files.replacing(path) as file:
        with zipfile.ZipFile(file, "w") as archive:
            stored = list(_store(archive, view, found, meter))
            manifest = Manifest(experiment_id=view.id, record=record_of(view), files=tuple(stored))
            info = _build_info(MANIFEST_FILE, None, zipfile.ZIP_DEFLATED)
            archive.writestr(info, json_text.encode(schema.to_json(manifest)))
        _check_free(path)
    if view.status is Status.RUNNING:
        warn(f"{view.id} is running; {path} has it as far as it has come")
    meter.finish()
    return path


def _check_free(path: Path) -> None:
    if os.path.lexists(path):
        raise errors.TargetExistsError(path)


def _check_names(path: Path, experiment_id: str, found: Iterable[Member]) -> None:
    hint = "no bundle was made; rename it, or export to a folder"
    seen = Names()
    for member in found:
        problem = seen.problem_with(f"{experiment_id}/{member.name}")
        if problem is not None:
            raise errors.BundleError(path, member.name, problem, hint)


def _store(
    archive: zipfile.ZipFile, view: ExperimentView, found: Iterable[Member], meter: Meter
) -> Iterator[BundledFile]:
    for member in found:
        with unless_removed(layout_of(view)), member.path.open("rb") as source:
            yield _store_one(archive, f"{view.id}/{member.name}", member.name, source, meter)


@contextlib.contextmanager
def unless_removed(layout: ExperimentLayout) -> Iterator[None]:
    """A block that reads a file, and ends without an error if the running experiment has just removed the file.

    Raises:
        FileNotFoundError: if the file is missing for any other reason, such as a missing folder.
    """
    try:
        yield
    except FileNotFoundError:
        try:
            is_running = experiment_folder.read_record(layout).status is Status.RUNNING
        except (OSError, errors.DamagedFileError, errors.NewerFormatError):
            is_running = False
        if not is_running:
            raise


def _store_one(archive: zipfile.ZipFile, stored_as: str, name: str, source: BinaryIO, meter: Meter) -> BundledFile:
    status = os.fstat(source.fileno())
    # Not beyond its present size: a log may grow faster than it is read.
    left = status.st_size
    digest = hashlib.sha256()
    size = 0
    head = source.read(min(left, _DEFLATED_UP_TO))
    is_whole = left <= _DEFLATED_UP_TO
    info = _build_info(stored_as, status.st_mtime_ns, _choose_method(head) if is_whole else zipfile.ZIP_STORED)
    info.file_size = left
    with archive.open(info, "w", force_zip64=not is_whole) as target:
        block = head
        while block:
            digest.update(block)
            target.write(block)
            size += len(block)
            meter.advance(len(block))
            block = source.read(min(_BLOCK, left - size))
    return BundledFile(path=name, size=size, sha256=digest.hexdigest(), modified_ns=status.st_mtime_ns)


def _choose_method(content: bytes) -> int:
    """The compression method: deflate where it helps, but not where the file would look like a zip bomb."""
    deflated = len(zlib.compress(content))
    is_worth_it = deflated < _WORTH_DEFLATING * len(content)
    is_harmless = len(content) < deflated * MOST_RATIO / 2
    return zipfile.ZIP_DEFLATED if is_worth_it and is_harmless else zipfile.ZIP_STORED


def _build_info(name: str, modified_ns: int | None, method: int) -> zipfile.ZipInfo:
    moment = _OLDEST_DATE if modified_ns is None else _to_date(modified_ns)
    info = zipfile.ZipInfo(name, moment.timetuple()[:6])
    info.compress_type = method
    # Fixed values, so that every system makes the same bytes: Unix, and a regular file that all may read.
    info.create_system = 3
    info.external_attr = (stat.S_IFREG | 0o644) << 16
    return info


def _to_date(modified_ns: int) -> datetime:
    seconds = min(max(modified_ns // 10**9, int(_OLDEST_DATE.timestamp())), int(_LATEST_DATE.timestamp()))
    return datetime.fromtimestamp(seconds, UTC)


def members(root: Path) -> list[Member]:
    """The files of an experiment's folder, its record first, then in the order of their names.

    The record is copied first, so that a copy never has a record with an ending beside files from before it.
    Temporaries of unfinished writes are left out.

    One warning names what cannot be part of a copy: links that leave the folder or lead nowhere, and what is neither
    file nor folder.

    Raises:
        OSError: if the folder cannot be read.
    """
    root = root.resolve(strict=True)
    left_out: list[str] = []
    record = ExperimentLayout(root).record.name
    found = sorted(_walk(root, root, "", (root,), left_out), key=lambda member: (member.name != record, member.name))
    if left_out:
        more = f" and {len(left_out) - _MOST_NAMED} more" if len(left_out) > _MOST_NAMED else ""
        named = ", ".join(repr(name) for name in sorted(left_out)[:_MOST_NAMED])
        warn(
            f"{root.name}: left out of the copy: {named}{more}; links that leave the experiment's folder or lead "
            "nowhere, and devices, are not copied"
        )
    return found


def _walk(root: Path, folder: Path, prefix: str, above: tuple[Path, ...], left_out: list[str]) -> Iterator[Member]:
    for name in os.listdir(folder):
        relative = prefix + name
        try:
            path = _resolve_inside(root, folder / name)
            status = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            # It is a link to nothing, unless another process has just removed it.
            if os.path.lexists(folder / name):
                left_out.append(relative)
            continue
        # At most one link to a folder on a path: each further one could double the amount of data.
        is_loop = path != folder / name and (path in above or folder != root / prefix)
        if stat.S_ISREG(status.st_mode):
            if _TEMPORARY.fullmatch(name) is None:
                yield Member(relative, path, status.st_size, status.st_mtime_ns)
        elif stat.S_ISDIR(status.st_mode) and not is_loop:
            yield from _walk(root, path, f"{relative}/", (*above, path), left_out)
        else:
            left_out.append(relative)


def _resolve_inside(root: Path, path: Path) -> Path:
    """The path with links followed.

    Raises:
        FileNotFoundError: if the target does not exist, or is outside of the root.
    """
    if not path.is_symlink():
        return path
    with contextlib.suppress(RuntimeError, OSError):
        real = path.resolve(strict=True)
        if real.is_relative_to(root):
            return real
    raise FileNotFoundError(errno.ENOENT, "a link that leaves the folder", str(path))


def problem_with_part(part: str) -> str | None:
    """Why a file or a folder cannot have this name on every system; None if it can.

    Letters, digits, signs and spaces of any script are allowed; characters that control how text is shown are not.
    """
    if part in {"", ".", ".."}:
        return "has a part that is empty or leads elsewhere"
    if len(part.encode(errors="surrogatepass")) > _NAME_BYTES:
        return f"has a part that is longer than {_NAME_BYTES} bytes"
    wrong = [char for char in part if char in _FORBIDDEN or not _is_allowed(char)]
    if wrong:
        return f"has characters that not every system can have in a name: {', '.join(map(ascii, wrong[:_MOST_NAMED]))}"
    if part.startswith(" ") or part.endswith((" ", ".")):
        return "has a part that starts or ends with a space, or ends with a dot"
    if identifiers.is_windows_device(part):
        return "has a part that is the name of a device on Windows"
    return None


def _is_allowed(char: str) -> bool:
    return char == " " or unicodedata.category(char)[0] in _ALLOWED_KINDS


class Names:
    """Checks the names of the files in a bundle, one after the other, each also against those before it."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[str, bool]] = {}

    def problem_with(self, name: str) -> str | None:
        """Why a file cannot have this name on every system, beside the files before it; None if it can.

        Args:
            name: its path in the bundle, with slashes.
        """
        if len(name.encode(errors="surrogatepass")) > _PATH_BYTES:
            return f"is longer than {_PATH_BYTES} bytes"
        parts = name.split("/")
        problem = next(filter(None, map(problem_with_part, parts)), None)
        if problem is not None:
            return problem
        for length in range(1, len(parts) + 1):
            path, is_file = "/".join(parts[:length]), length == len(parts)
            folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
            if folded not in self._seen:
                self._seen[folded] = (path, is_file)
                continue
            before, was_file = self._seen[folded]
            if before != path:
                return f"differs only by case or accents from {before!r}"
            if is_file or was_file:
                return "is there twice"
        return None
