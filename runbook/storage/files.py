"""Durable writes: a whole file appears completely or not at all, and a log grows by whole lines.

All writes to a base directory go through this module.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runbook.typing import StrPath

_GROUP_MAY_WRITE: Final = stat.S_IWGRP
_GROUP_BITS: Final = stat.S_IRGRP | stat.S_IWGRP
_WINDOWS: Final = sys.platform == "win32"
_WRITE: Final = os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0)
_numbers: Final = itertools.count()
_BLOCK: Final = 1024 * 1024
_REPLACE_TRIES: Final = 20
_REPLACE_PAUSE_S: Final = 0.01


@contextlib.contextmanager
def replacing(path: Path, *, sync_directory: bool = True) -> Iterator[BinaryIO]:
    """An open file that is renamed to `path` when the block ends without an error, and removed otherwise.

    The content is on the disk before the rename, so that no power cut leaves half a file.

    Args:
        path: the file to make or to replace; a symbolic link is followed. The mode of a file that is replaced is kept.
        sync_directory: False where the caller fsyncs the directory itself, after several files.
    """
    with _Replacement(path, sync_directory=sync_directory) as descriptor, open(descriptor, "wb", closefd=False) as file:
        yield file


def write_whole(path: Path, data: bytes, *, sync_directory: bool = True, is_locked: bool = False) -> None:
    """Make or replace a file as a whole, durably; see `replacing`.

    Args:
        path: the file.
        data: its content.
        sync_directory: as for `replacing`.
        is_locked: whether the caller holds a lock that all writers of this file take. The temporary has one fixed name
            then, so that any number of killed writers leave at most one.
    """
    with _Replacement(path, sync_directory=sync_directory, is_locked=is_locked) as descriptor:
        _write_all(descriptor, data)


def write_hint(path: Path, data: bytes) -> None:
    """Make or replace a file as a whole, but not durably: a power cut may leave the old file, or an empty one."""
    with _Replacement(path, sync_directory=False, is_durable=False) as descriptor:
        _write_all(descriptor, data)


class _Replacement:
    """A block with the descriptor of a temporary, which is renamed to `path` when the block ends without an error.

    An experiment writes six files. A class with strings for paths and no file object takes half the time that
    `contextmanager`, `Path` and `open` take.
    """

    def __init__(self, path: Path, *, sync_directory: bool, is_locked: bool = False, is_durable: bool = True) -> None:
        self._target, self._mode = _follow_link(path)
        directory, self._name = os.path.split(self._target)
        self._directory = directory or os.curdir
        self._sync_directory = sync_directory
        self._is_locked = is_locked
        self._is_durable = is_durable
        self._temporary = ""
        self._descriptor = -1

    def __enter__(self) -> int:
        if self._is_locked:
            self._temporary = os.path.join(self._directory, f".{self._name}.tmp")
            self._descriptor = os.open(self._temporary, _WRITE | os.O_TRUNC, 0o666)
        while self._descriptor < 0:
            # Two threads, or a signal handler and the code that it interrupted, may write one file at the same time:
            # each needs a temporary of its own. The pid is not enough, and a process of another container may have
            # the same pid.
            self._temporary = _name_temporary(self._target)
            with contextlib.suppress(FileExistsError):
                self._descriptor = os.open(self._temporary, _WRITE | os.O_EXCL, 0o666)
        return self._descriptor

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            try:
                if kind is None:
                    _set_mode(self._descriptor, self._mode, self._directory)
                    if self._is_durable:
                        os.fsync(self._descriptor)
            finally:
                os.close(self._descriptor)
            if kind is None:
                _replace(self._temporary, self._target)
        except BaseException:
            self._discard()
            raise
        if kind is not None:
            self._discard()
        elif self._sync_directory:
            fsync_directory(self._directory)

    def _discard(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._temporary)


def _follow_link(path: Path) -> tuple[str, int | None]:
    """The path with symbolic links followed, and the mode of the file there; None where there is no file."""
    target = os.fspath(path)
    try:
        mode = os.lstat(target).st_mode
        if stat.S_ISLNK(mode):
            target = os.path.realpath(target)
            mode = os.stat(target).st_mode
    except FileNotFoundError:
        return target, None
    return target, stat.S_IMODE(mode)


def _write_all(descriptor: int, data: bytes) -> None:
    written = os.write(descriptor, data)
    while written < len(data):
        # Linux writes at most two gigabytes in a call, and less on a disk that is nearly full.
        written += os.write(descriptor, memoryview(data)[written:])


def _name_temporary(target: str) -> str:
    directory, name = os.path.split(target)
    return os.path.join(directory, f".{name}.{os.getpid()}-{next(_numbers)}.tmp")


def _set_mode(descriptor: int, mode: int | None, directory: StrPath) -> None:
    """Give a file the mode of the one that it replaces; a new file gets the bits of `group_bits`."""
    if _WINDOWS:
        return
    now = stat.S_IMODE(os.fstat(descriptor).st_mode)
    wanted = now | group_bits(directory) if mode is None else mode
    if wanted != now:
        # Another user's file, or a disk without modes, may refuse; the content matters more than the mode. A
        # colleague's file has had the group's bits since it was made.
        with contextlib.suppress(PermissionError):
            os.fchmod(descriptor, wanted)


def group_bits(directory: StrPath) -> int:
    """The mode bits for the group in a directory that the group shares, whatever the umask is; 0 in others."""
    mode = os.stat(directory).st_mode
    return mode & _GROUP_BITS if mode & _GROUP_MAY_WRITE else 0


def _replace(source: str, target: str) -> None:
    for _ in range(_REPLACE_TRIES if _WINDOWS else 0):
        # Windows refuses to replace a file that another process is reading at this moment.
        with contextlib.suppress(PermissionError):
            os.replace(source, target)
            return
        time.sleep(_REPLACE_PAUSE_S)
    os.replace(source, target)


def fsync_directory(directory: StrPath) -> None:
    """Make the names in a directory durable; does nothing on Windows, which has no such call."""
    if _WINDOWS:
        return
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_file(path: Path) -> None:
    """Make the content of a file durable that another process, or another descriptor, has written."""
    # Windows needs a writable descriptor; elsewhere that would fail for a file that its owner has made read-only.
    descriptor = os.open(path, os.O_RDWR if _WINDOWS else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directory(path: Path) -> None:
    """Make a directory that must not exist yet; the group gets the rights that it has on the parent.

    Raises:
        FileExistsError: if anything has that name.
    """
    os.mkdir(path)
    if _WINDOWS:
        return
    parent = os.stat(os.path.dirname(path) or os.curdir).st_mode
    if parent & _GROUP_MAY_WRITE:
        inherited = parent & (stat.S_IRWXG | stat.S_ISGID)
        os.chmod(path, stat.S_IMODE(os.stat(path).st_mode) | inherited)


def ensure_directory(path: Path) -> None:
    """Make a directory and its parents unless they exist; the group gets the rights that it has on the parent.

    Raises:
        FileExistsError: if something that is no directory has that name.
    """
    if os.path.isdir(path):
        return
    if path.parent != path:
        ensure_directory(path.parent)
    try:
        make_directory(path)
    except FileExistsError:
        # Either another process has made it meanwhile, or it is no directory.
        if not path.is_dir():
            raise


def touch(path: Path) -> None:
    """Make an empty file unless it exists."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o666)
    try:
        _set_mode(descriptor, None, path.parent)
    finally:
        os.close(descriptor)


def drop_torn_line(path: Path) -> None:
    """Cut off an unfinished last line, and the NULs that a power cut leaves, before lines are appended to a file."""
    raw = path.read_bytes() if path.exists() else b""
    whole = raw.rstrip(b"\0")
    whole = whole[: whole.rfind(b"\n") + 1]
    if len(whole) < len(raw):
        os.truncate(path, len(whole))
        fsync_file(path)


class LineLog:
    """A file that grows by whole lines.

    The kernel has a line when `append` returns: it survives the death of the process, but a power cut only after
    `sync`. Lines of several processes do not mix.

    Args:
        path: the file; the first `append` makes it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether a line was appended since the object was made or closed."""
        return self._descriptor is not None

    def append(self, line: bytes) -> None:
        """Add one line, which must end in a newline, in one write.

        Raises:
            OSError: if it could not be written completely; the part that was written is removed if the disk allows it.
        """
        if self._descriptor is None:
            self._descriptor = _open_to_append(self._path)
        written = os.write(self._descriptor, line)
        if written != len(line):
            self._complete(line, written)

    def _complete(self, line: bytes, written: int) -> None:
        # A full disk takes only the beginning of a line. Write the rest, or cut off the beginning: the next line must
        # not become part of it.
        descriptor = self._descriptor
        assert descriptor is not None
        start = os.lseek(descriptor, 0, os.SEEK_END) - written
        try:
            while written < len(line):
                written += os.write(descriptor, line[written:])
        except OSError:
            if os.lseek(descriptor, 0, os.SEEK_END) == start + written:
                os.ftruncate(descriptor, start)
            raise

    def sync(self) -> None:
        """Make every line durable."""
        if self._descriptor is not None:
            os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file; a later `append` opens it again."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _open_to_append(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o666)
    _set_mode(descriptor, None, path.parent)
    return descriptor


def copy_file(source: Path, target: Path) -> None:
    """Copy a file; the target appears completely or not at all."""
    import shutil

    with source.open("rb") as original, replacing(target) as copy:
        shutil.copyfileobj(original, copy)


def copy_tree(source: Path, target: Path, *without: Path, copied: Callable[[int], None] | None = None) -> None:
    """Copy a directory; the target must not exist, and appears completely or not at all.

    Symbolic links are copied as links. The target itself is left out of the copy where it lies inside of the source.

    Args:
        source: the directory.
        target: the path of the copy.
        *without: directories that are left out of the copy.
        copied: called with the number of bytes of each block; an exception from it ends the copy, and nothing is left.
    """
    import shutil

    temporary = Path(_name_temporary(os.fspath(target)))
    shutil.rmtree(temporary, ignore_errors=True)
    copy = _build_copier(copied) if copied else shutil.copy2
    try:
        shutil.copytree(source, temporary, symlinks=True, ignore=_ignore_paths(temporary, *without), copy_function=copy)
        for folder, _, names in os.walk(temporary):
            for name in names:
                path = Path(folder, name)
                if path.is_file() and not path.is_symlink():
                    fsync_file(path)
            fsync_directory(Path(folder))
        temporary.rename(target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    fsync_directory(target.parent)


def _build_copier(copied: Callable[[int], None]) -> Callable[[str, str], object]:
    import shutil

    def copy(source: str, target: str) -> object:
        if not stat.S_ISREG(os.stat(source).st_mode):
            # Opening a pipe would wait for ever; copy2 refuses it.
            return shutil.copy2(source, target)
        with open(source, "rb") as original, open(target, "wb") as fresh:
            while block := original.read(_BLOCK):
                fresh.write(block)
                copied(len(block))
        shutil.copystat(source, target)
        return target

    return copy


def size_of_tree(directory: Path, *without: Path) -> int:
    """The size of all files in a directory, in bytes; links are not followed.

    Args:
        directory: the directory.
        *without: directories in it that are not counted.
    """
    find_ignored = _ignore_paths(*without)
    size = 0
    for parent, folders, names in os.walk(directory):
        folders[:] = set(folders) - find_ignored(parent, folders)
        for name in names:
            # A running experiment may have removed it meanwhile.
            with contextlib.suppress(FileNotFoundError):
                status = os.lstat(os.path.join(parent, name))
                size += status.st_size if stat.S_ISREG(status.st_mode) else 0
    return size


def _ignore_paths(*without: Path) -> Callable[[str, list[str]], set[str]]:
    left_out = {path.resolve() for path in without}

    def names(folder: str, inside: list[str]) -> set[str]:
        real = Path(folder).resolve()
        return {name for name in inside if real / name in left_out}

    return names


def replace_tree(source: Path, target: Path, *without: Path) -> None:
    """Make `target` a copy of a directory; a former directory there is removed when the copy is complete.

    Args:
        source: the directory.
        target: the directory that is made or replaced.
        *without: directories that are left out of the copy.
    """
    import shutil

    target = target.resolve() if target.is_symlink() else target
    if not target.is_dir():
        copy_tree(source, target, *without)
        return
    fresh, former = (Path(_name_temporary(os.fspath(target))) for _ in range(2))
    copy_tree(source, fresh, *without)
    try:
        target.rename(former)
        try:
            fresh.rename(target)
        except BaseException:
            former.rename(target)
            raise
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    fsync_directory(target.parent)
    shutil.rmtree(former)
