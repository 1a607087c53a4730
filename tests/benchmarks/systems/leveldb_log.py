"""Reads the records of a log in LevelDB's format, in which two of the systems keep what they log offline.

The format: https://github.com/google/leveldb/blob/main/doc/log_format.md. Blocks of 32 KiB hold fragments; each has a
header of a checksum, a length and a type, which says whether it is a whole record or its first, a middle or its last part.
"""

import struct

BLOCK = 32 * 1024
FRAGMENT = struct.Struct("<IHB")
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def records(path, header):
    """The records of a file that begins with a header of `header` bytes; a torn last one is left out."""
    raw = path.read_bytes()
    at, parts = header, []
    while at + FRAGMENT.size <= len(raw):
        if BLOCK - at % BLOCK < FRAGMENT.size:
            at += BLOCK - at % BLOCK
            continue
        _, length, kind = FRAGMENT.unpack_from(raw, at)
        at += FRAGMENT.size
        if kind not in {FULL, FIRST, MIDDLE, LAST} or at + length > len(raw):
            return
        parts = [raw[at : at + length]] if kind in {FULL, FIRST} else [*parts, raw[at : at + length]]
        at += length
        if kind in {FULL, LAST}:
            yield b"".join(parts)
