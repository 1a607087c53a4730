"""What the file system of a base directory guarantees: durability, locks, space."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

_NETWORK: Final = {
    "nfs": "NFS",
    "nfs4": "NFS",
    "cifs": "SMB",
    "smb3": "SMB",
    "9p": "9P",
    "lustre": "Lustre",
    "beegfs": "BeeGFS",
    "gpfs": "GPFS",
    "ceph": "Ceph",
    "glusterfs": "GlusterFS",
    "afs": "AFS",
}
_MEMORY: Final = {"tmpfs", "ramfs"}
_UP_TO_THE_SERVER: Final = (
    "ids stay unique and records whole; whether locks reach other machines, and whether a flush reaches the disk, "
    "is up to its server"
)
_LITTLE_SPACE: Final = 1024**3


def describe_disk(directory: Path) -> list[tuple[str, str]]:
    """Facts about the disk of a directory, each with its consequence for experiments there.

    Args:
        directory: an existing directory.
    """
    facts = [_describe_kind(directory), _describe_locks(directory)]
    free = shutil.disk_usage(directory).free
    if free < _LITTLE_SPACE:
        facts.append((f"only {free / 1024**2:.0f} MB are free", "free some space: a full disk costs metrics"))
    return [item for item in facts if item is not None]


def find_file_system(directory: Path, table: Path = Path("/proc/self/mountinfo")) -> str | None:
    """The type of the file system that a directory is on; None where the system has no table of mounts.

    Args:
        directory: an existing directory.
        table: the mounts, in the form of proc_pid_mountinfo(5).
    """
    try:
        lines = table.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    real = os.path.realpath(directory)
    best: tuple[int, str | None] = (-1, None)
    for line in lines:
        fields, _, rest = line.partition(" - ")
        mounted_on = fields.split()[4].replace("\\040", " ").rstrip("/")
        is_above = real == mounted_on or real.startswith(f"{mounted_on}/")
        # `>=`, because of two mounts on one directory the later hides the earlier.
        if is_above and len(mounted_on) >= best[0]:
            best = (len(mounted_on), rest.split()[0])
    return best[1]


def _describe_kind(directory: Path) -> tuple[str, str]:
    kind = find_file_system(directory)
    if kind is None:
        return "the system does not say what kind of disk it is", "on a local disk, what is acknowledged is durable"
    if kind in _MEMORY:
        return f"it lies in memory ({kind})", "everything is lost when the machine stops; choose a disk to keep it"
    if kind in _NETWORK or kind.startswith("fuse"):
        name = _NETWORK.get(kind, kind)
        return f"it lies on a network or user-space file system ({name})", _UP_TO_THE_SERVER
    return f"it lies on a local disk ({kind})", "what is acknowledged survives a power cut"


def _describe_locks(directory: Path) -> tuple[str, str] | None:
    """That files cannot be locked or written there, and the consequence; None if both work."""
    import filelock

    try:
        with tempfile.NamedTemporaryFile(dir=directory, prefix=".runbook-probe-", suffix=".lock") as probe:
            lock = filelock.FileLock(probe.name, fallback_to_soft=False, preserve_lock_file=True)
            try:
                lock.acquire(timeout=0)
            except OSError as error:
                return (
                    f"it has no file locks ({error.strerror})",
                    "the registry file is not brought up to date there; listings read the folders all the same",
                )
            lock.release()
    except OSError as error:
        return f"it cannot be written to ({error.strerror})", "experiments can be read here, and not started"
    return None
