"""What every store of registrations keeps, on every database it runs on."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from mesh.database import Database, sqlite_url
from mesh.errors import Unavailable
from mesh.outbox import OutboxEntry
from signup_service.errors import RegistrationExists, RegistrationNotFound, RequestIdReused
from signup_service.outcome import FAILED, SENT, Outcome
from signup_service.registration import Mode, Registration, State
from signup_service.request import register_request
from signup_service.storage import row, schema, sql
from signup_service.storage.sql import SqlRegistrationStore
from tests.support.fake_clock import START
from tests.unit.signup_service.example import registration

LATER = START + 1


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(sqlite_url(tmp_path / "signup.db"), schema.METADATA, schema.VERSION)
    yield database
    database.close()


@pytest.fixture
def store(database: Database) -> SqlRegistrationStore:
    return SqlRegistrationStore(database.engine)


def entry(of: Registration) -> OutboxEntry:
    return OutboxEntry(of.confirmation.key, "registration-confirmations", "a.Type", b"\x00\xff", {"traceparent": "t"})


def cancel(database: Database, cancelled: Registration) -> None:
    with database.engine.begin() as connection:
        values = row.values(replace(cancelled, state=State.CANCELLED))
        connection.execute(sa.update(schema.REGISTRATIONS).values(values))


def test_a_registration_comes_back_as_it_was_stored(store: SqlRegistrationStore) -> None:
    new = registration()

    assert store.register(new, None, None) == new
    assert store.find(new.registration_id) == new


def test_an_unknown_registration_is_not_found(store: SqlRegistrationStore) -> None:
    with pytest.raises(RegistrationNotFound):
        store.find("nobody")


def test_row_and_entry_are_stored_together(store: SqlRegistrationStore) -> None:
    new = registration()

    store.register(new, None, entry(new))

    assert store.pending(START, 10) == [entry(new)]
    assert store.next_pending_at() == START


def test_without_its_entry_there_is_no_row_either(store: SqlRegistrationStore) -> None:
    first, second = registration(1), registration(2)
    store.register(first, None, entry(first))

    with pytest.raises(Unavailable):
        store.register(second, register_request("r2", second.runner, Mode.QUEUED), entry(first))

    with pytest.raises(RegistrationNotFound):
        store.find(second.registration_id)
    assert store.register(second, register_request("r2", second.runner, Mode.QUEUED), entry(second)) == second


def test_one_address_has_one_live_registration_letter_case_apart(store: SqlRegistrationStore) -> None:
    store.register(registration(1, "Éva@Example.org"), None, None)
    again = registration(2, "ÉVA@example.ORG")

    with pytest.raises(RegistrationExists) as refusal:
        store.register(again, None, entry(again))

    assert refusal.value.resource_name == "ÉVA@example.ORG"
    assert store.pending(START, 10) == []


def test_a_cancelled_registration_frees_its_address(store: SqlRegistrationStore, database: Database) -> None:
    first, second = registration(1, "ada@example.org"), registration(2, "ada@example.org")
    store.register(first, None, None)

    cancel(database, first)

    assert store.register(second, None, None) == second


def test_a_repeated_request_finds_the_registration_as_it_stands_now(store: SqlRegistrationStore) -> None:
    first, repeat = registration(1, "ada@example.org"), registration(2, "ada@example.org")
    request = register_request("r1", first.runner, Mode.QUEUED)
    store.register(first, request, entry(first))
    sent = store.note_outcome(first.registration_id, Outcome(SENT), LATER)

    assert store.register(repeat, request, entry(repeat)) == sent
    assert store.pending(START, 10) == [entry(first)]


def test_a_request_id_asks_for_one_thing(store: SqlRegistrationStore) -> None:
    first, other = registration(1), registration(2)
    store.register(first, register_request("r1", first.runner, Mode.QUEUED), None)

    with pytest.raises(RequestIdReused):
        store.register(other, register_request("r1", other.runner, Mode.QUEUED), None)


def test_what_another_process_stored_meanwhile_is_seen_at_the_second_look(
    store: SqlRegistrationStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = registration(1, "ada@example.org"), registration(2, "ada@example.org")
    store.register(first, None, None)
    looks = iter([False])  # the first look comes too early
    see = sql._address_taken
    monkeypatch.setattr(
        sql, "_address_taken", lambda connection, new: next(looks, None) is not False and see(connection, new)
    )

    with pytest.raises(RegistrationExists):
        store.register(second, None, None)


def test_pages_stay_put_while_registrations_arrive(store: SqlRegistrationStore) -> None:
    for number in (1, 2, 3, 5):
        store.register(registration(number), None, None)

    first = store.page("", 2, None)
    store.register(registration(6), None, None)
    second = store.page(first[-1].registration_id, 2, None)
    third = store.page(second[-1].registration_id, 2, None)

    assert [*first, *second, *third] == [registration(number) for number in (1, 2, 3, 5, 6)]


def test_a_page_can_be_of_one_state(store: SqlRegistrationStore) -> None:
    for number in range(4):
        store.register(registration(number), None, None)
    failed = [store.note_outcome(registration(number).registration_id, Outcome(FAILED), LATER) for number in (1, 3)]

    assert store.page("", 10, FAILED) == failed
    assert store.page("", 10, SENT) == []


def test_an_outcome_changes_the_confirmation_once(store: SqlRegistrationStore) -> None:
    new = registration()
    store.register(new, None, None)

    once = store.note_outcome(new.registration_id, Outcome(FAILED, attempts=3, error="SMTP_550: no"), LATER)
    twice = store.note_outcome(new.registration_id, Outcome(FAILED, attempts=3, error="SMTP_550: no"), LATER + 1)

    assert once == twice == store.find(new.registration_id)
    assert (once.update_time, once.confirmation.update_time, once.create_time) == (LATER, LATER, START)
    assert (once.confirmation.attempts, once.confirmation.last_error) == (3, "SMTP_550: no")


def test_an_outcome_of_nobody_is_not_found(store: SqlRegistrationStore) -> None:
    with pytest.raises(RegistrationNotFound):
        store.note_outcome("nobody", Outcome(SENT), LATER)


def test_handing_over_notes_the_message_and_drops_the_entry(store: SqlRegistrationStore) -> None:
    first, second = registration(1), registration(2)
    for new in (first, second):
        store.register(new, None, entry(new))

    store.mark_sent({first.confirmation.key: "m1"}, LATER)

    found = store.find(first.registration_id)
    assert (found.confirmation.message_id, found.confirmation.update_time, found.update_time) == ("m1", LATER, LATER)
    assert store.pending(START, 10) == [entry(second)]
    assert store.find(second.registration_id).confirmation.message_id == ""


def test_a_postponed_entry_waits(store: SqlRegistrationStore) -> None:
    new = registration()
    store.register(new, None, entry(new))

    store.postpone(new.confirmation.key, LATER, "QUEUE_NOT_FOUND")

    assert store.pending(START, 10) == []
    assert store.next_pending_at() == LATER
    assert store.pending(LATER, 10) == [entry(new)]


def test_confirmations_cut_off_are_queued_once(store: SqlRegistrationStore) -> None:
    cut_off = [registration(1, mode=Mode.BACKGROUND), registration(2, mode=Mode.SEQUENTIAL)]
    settled, queued = registration(3, mode=Mode.BACKGROUND), registration(4)
    for new in (*cut_off, settled):
        store.register(new, None, None)
    store.register(queued, None, entry(queued))
    store.note_outcome(settled.registration_id, Outcome(SENT), START)

    counts = [store.queue_interrupted(entry, LATER) for _ in range(2)]

    assert counts == [2, 0]
    assert store.pending(LATER, 10) == [entry(queued), *map(entry, cut_off)]
    assert store.find(cut_off[0].registration_id).confirmation.mode is Mode.QUEUED


def test_a_database_that_is_gone_is_unavailable(store: SqlRegistrationStore, database: Database) -> None:
    with database.engine.begin() as connection:
        schema.METADATA.drop_all(connection)

    with pytest.raises(Unavailable):
        store.find("anybody")
