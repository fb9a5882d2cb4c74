"""Whatever is done to an outbox, in whatever order: along a key nothing is due before what was added ahead of it."""

from collections import defaultdict
from collections.abc import Mapping

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.outbox_entry import HandedOver, HandOver
from mesh.outbox_table import OutboxTable
from tests.support.sql_outbox import entry

KEYS = st.sampled_from(["k", "j", ""])
INSTANTS = st.integers(1, 9)
NUMBERS = st.integers(0, 4)
STEPS = st.one_of(
    st.tuples(st.just("add"), KEYS, INSTANTS, st.none() | INSTANTS),
    st.tuples(st.just("withdraw"), NUMBERS, INSTANTS),
    st.tuples(st.just("postpone"), NUMBERS, INSTANTS),
    st.tuples(st.just("release"), KEYS, INSTANTS),
    st.tuples(st.just("remove"), NUMBERS, st.sampled_from(HandOver)),
)


class Outbox:
    """One in memory, whose entries are numbered as they are added."""

    def __init__(self) -> None:
        metadata = sa.MetaData()
        self.table, self.added = OutboxTable(metadata), 0
        self.connection = sa.create_engine("sqlite://").connect()
        metadata.create_all(self.connection)

    def add(self, key: str, now: int, not_before: int | None) -> None:
        self.table.add(self.connection, [entry(str(self.added), order_key=key)], now, not_before=not_before)
        self.added += 1

    def withdraw(self, number: int, now: int) -> None:
        self.table.withdraw(self.connection, str(number), now)

    def postpone(self, number: int, until: int) -> None:
        self.table.postpone(self.connection, str(number), until, "refused")

    def release(self, key: str, now: int) -> None:
        if key:
            self.table.release(self.connection, key, now)

    def remove(self, number: int, what: HandOver) -> None:
        self.table.remove(self.connection, {str(number): HandedOver(what, "m")})

    def due(self) -> Mapping[str, list[int]]:
        """When entries are due, key by key, in the order in which they were added."""
        columns = self.table.table.c
        found: Mapping[str, list[int]] = defaultdict(list)
        for row in self.connection.execute(sa.select(columns.order_key, columns.due_at).order_by(columns.position)):
            found[row.order_key].append(row.due_at)
        return found

    def pending(self, now: int) -> Mapping[str, list[int]]:
        """The numbers of what is due, key by key, in the order in which it comes."""
        found: Mapping[str, list[int]] = defaultdict(list)
        for each in self.table.pending(self.connection, now, 99):
            found[each.order_key].append(int(each.entry_id))
        return found


@settings(deadline=None)
@given(st.lists(STEPS, max_size=25))
def test_nothing_overtakes_along_a_key(steps: list[tuple[str, object]]) -> None:
    outbox = Outbox()
    for not_before in (2, 4, 8):
        outbox.add("k", 1, not_before)

    for verb, *arguments in steps:
        getattr(outbox, verb)(*arguments)

        due = outbox.due()
        for key in due.keys() - {""}:
            assert due[key] == sorted(due[key])
        now = max(due["k"], default=0)
        assert outbox.pending(now)["k"] == sorted(outbox.pending(now)["k"])
    outbox.connection.close()


@pytest.mark.parametrize("now", [1, 6])
def test_what_has_no_key_overtakes_as_it_likes(now: int) -> None:
    outbox = Outbox()

    outbox.add("", 1, 9)
    outbox.add("", now, None)

    assert outbox.due()[""] == [9, now]
    assert outbox.pending(8)[""] == [1]
    outbox.connection.close()
