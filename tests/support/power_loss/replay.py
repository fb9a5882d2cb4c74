"""Undoes what was not synced, by the logs of lossy_disk.c; some of it may have reached the disk all the same."""

import os
import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_CHANGE = struct.Struct("=5Q")


@dataclass(frozen=True)
class Change:
    """One change of a file that no sync followed."""

    offset: int
    old_size: int
    new_size: int
    old: bytes
    new: bytes


def lose_power(folder: Path, logs: Path, chance: random.Random, *, kept: float = 0.5) -> int:
    """Take from the files what was not synced, but for a share that is ``kept``; how many changes were taken.

    The process that wrote them has ended. What SQLite shares in memory (``-shm``) never was on a disk.
    """
    for shared in folder.glob("*-shm"):
        shared.unlink()
    files = {str(path.stat().st_ino): path for path in folder.iterdir() if path.is_file()}
    lost = 0
    for log in logs.iterdir():
        changes = list(_changes(log.read_bytes()))
        if log.name in files and changes:
            lost += _undo(files[log.name], changes, [change for change in changes if chance.random() < kept])
        log.unlink()
    return lost


def _changes(raw: bytes) -> Iterator[Change]:
    at = 0
    while at + _CHANGE.size <= len(raw):
        offset, old_size, new_size, old_length, new_length = _CHANGE.unpack_from(raw, at)
        at += _CHANGE.size
        if at + old_length + new_length > len(raw):
            return  # the process was killed while it noted this change, so it was not made
        yield Change(offset, old_size, new_size, raw[at : at + old_length], raw[at + old_length :][:new_length])
        at += old_length + new_length


def _undo(path: Path, changes: list[Change], kept: list[Change]) -> int:
    with path.open("r+b") as file:
        for change in reversed(changes):
            os.pwrite(file.fileno(), change.old, change.offset)
            os.ftruncate(file.fileno(), change.old_size)
        for change in kept:
            os.pwrite(file.fileno(), change.new, change.offset)
    return len(changes) - len(kept)
