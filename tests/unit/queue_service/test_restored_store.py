"""A store that was restored from a backup."""

from contextlib import closing
from pathlib import Path

from mesh.backup import back_up
from mesh.database import sqlite_url
from queue_service.lease_id import LeaseIds
from queue_service.message import Lease
from queue_service.storage.schema import SCHEMA
from queue_service.storage.sql import SqlStore

LEASE = Lease("0192f0c8-4f9c-7000-8000-000000000001", 1)


def ids(url: str) -> LeaseIds:
    """What a broker that starts on this database writes and reads leases with."""
    with closing(SqlStore(url)) as store:
        return LeaseIds(store.secret)


def test_leases_of_the_history_that_was_left_are_unknown(tmp_path: Path) -> None:
    original, restored = sqlite_url(tmp_path / "original.db"), sqlite_url(tmp_path / "restored.db")
    handed_out = ids(original).encode(7, LEASE)

    back_up(original, tmp_path / "restored.db", without=SCHEMA.of_one_life)

    assert ids(restored).decode(handed_out, 7) is None
    assert ids(original).decode(handed_out, 7) == LEASE


def test_leases_that_a_restored_broker_hands_out_survive_its_restarts(tmp_path: Path) -> None:
    ids(sqlite_url(tmp_path / "original.db"))
    back_up(sqlite_url(tmp_path / "original.db"), tmp_path / "restored.db", without=SCHEMA.of_one_life)
    restored = sqlite_url(tmp_path / "restored.db")

    handed_out = ids(restored).encode(7, LEASE)

    assert ids(restored).decode(handed_out, 7) == LEASE
