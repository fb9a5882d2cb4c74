"""What every store of registrations keeps, on every database it runs on."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from mesh.clock import microseconds
from mesh.database import Database, sqlite_url
from mesh.errors import Unavailable
from mesh.outbox_entry import HandedOver, HandOver, OutboxEntry
from signup_service.errors import RegistrationExists, RegistrationNotFound, RequestIdReused
from signup_service.outcome import FAILED, SENT, WITHDRAWN, News, Outcome
from signup_service.registration import DIRECT_LIMIT, Cause, Mode, Registration, State
from signup_service.request import register_request, resend_request
from signup_service.storage import schema, sql
from signup_service.storage.base import Unconfirmed
from signup_service.storage.sql import SqlRegistrationStore
from tests.support.fake_clock import START
from tests.support.postgres import emptied
from tests.unit.signup_service.example import registration
from tests.unit.signup_service.fake_entry import entry

LATER = START + 1
MUCH_LATER = START + 3_600_000_000


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Every database there is."""
    embedded = request.param == "sqlite"
    url = sqlite_url(tmp_path / "signup.db") if embedded else emptied(request.getfixturevalue("postgres"))
    database = Database(url, schema.SCHEMA)
    yield database
    database.close()


@pytest.fixture
def store(database: Database) -> SqlRegistrationStore:
    return SqlRegistrationStore(database.engine, entry)


def outgoing(database: Database, now: int = MUCH_LATER) -> Sequence[OutboxEntry]:
    """What the relay may hand over by ``now``."""
    with database.engine.begin() as connection:
        return schema.OUTBOX.pending(connection, now, 100)


def handed(message_id: str, what: HandOver = HandOver.SENT) -> HandedOver:
    return HandedOver(what, message_id)


def note(store: SqlRegistrationStore, of: Registration, outcome: Outcome, now: int = LATER) -> Registration:
    """News of a registration's newest confirmation."""
    (noted,) = store.note_outcomes([News(of.registration_id, of.confirmation.key, outcome)], now)
    assert isinstance(noted, Registration)
    return noted


def cancel(store: SqlRegistrationStore, of: Registration, now: int = LATER) -> Registration:
    return store.cancel(of.registration_id, Cause.REQUESTED, "ill", now)


def names(entries: Sequence[OutboxEntry]) -> list[tuple[str, bool, str]]:
    return [(each.entry_id, each.withdraw, each.message_id) for each in entries]


def test_a_registration_comes_back_as_it_was_stored(store: SqlRegistrationStore) -> None:
    new = registration()

    assert store.register(new, None) == new
    assert store.find(new.registration_id) == new


def test_an_unknown_registration_is_not_found(store: SqlRegistrationStore) -> None:
    with pytest.raises(RegistrationNotFound):
        store.find("nobody")
    with pytest.raises(RegistrationNotFound):
        store.resend("nobody", None, "t", LATER)
    with pytest.raises(RegistrationNotFound):
        store.cancel("nobody", Cause.REQUESTED, "", LATER)


def test_the_newest_id_is_the_greatest(store: SqlRegistrationStore) -> None:
    assert store.newest_id() == ""
    for number in (1, 3, 2):
        store.register(registration(number), None)

    assert store.newest_id() == registration(3).registration_id


def test_row_and_entry_are_stored_together(store: SqlRegistrationStore, database: Database) -> None:
    new = registration()

    store.register(new, None)

    assert outgoing(database, START) == [entry(new)]


@pytest.mark.parametrize("mode", [Mode.SEQUENTIAL, Mode.BACKGROUND])
def test_what_is_sent_directly_has_no_entry(mode: Mode, store: SqlRegistrationStore, database: Database) -> None:
    store.register(registration(mode=mode), None)

    assert outgoing(database) == []


def test_without_its_entry_there_is_no_row_either(
    store: SqlRegistrationStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = registration(1), registration(2)
    store.register(first, None)
    monkeypatch.setattr(store, "_entry_of", lambda of, notice: entry(first))

    with pytest.raises(Unavailable):
        store.register(second, register_request("r2", second.runner, Mode.QUEUED))

    with pytest.raises(RegistrationNotFound):
        store.find(second.registration_id)
    monkeypatch.undo()
    assert store.register(second, register_request("r2", second.runner, Mode.QUEUED)) == second


def test_one_address_has_one_live_registration_letter_case_apart(
    store: SqlRegistrationStore, database: Database
) -> None:
    store.register(registration(1, "Éva@Example.org", mode=Mode.BACKGROUND), None)

    with pytest.raises(RegistrationExists) as refusal:
        store.register(registration(2, "ÉVA@example.ORG"), None)

    assert refusal.value.resource_name == "ÉVA@example.ORG"
    assert outgoing(database) == []


def test_a_cancelled_registration_frees_its_address(store: SqlRegistrationStore) -> None:
    first, second = registration(1, "ada@example.org"), registration(2, "ada@example.org")
    store.register(first, None)

    cancel(store, first)

    assert store.register(second, None) == second


def test_a_repeated_request_finds_the_registration_as_it_stands_now(
    store: SqlRegistrationStore, database: Database
) -> None:
    first, repeat = registration(1, "ada@example.org"), registration(2, "ada@example.org")
    request = register_request("r1", first.runner, Mode.QUEUED)
    store.register(first, request)
    sent = note(store, first, Outcome(SENT))

    assert store.register(repeat, request) == sent
    assert outgoing(database) == [entry(first)]


def test_a_request_id_asks_for_one_thing(store: SqlRegistrationStore) -> None:
    first, other = registration(1), registration(2)
    store.register(first, register_request("r1", first.runner, Mode.QUEUED))

    with pytest.raises(RequestIdReused):
        store.register(other, register_request("r1", other.runner, Mode.QUEUED))
    with pytest.raises(RequestIdReused):
        store.resend(first.registration_id, resend_request("r1", first.registration_id), "t", LATER)


def test_what_another_process_stored_meanwhile_is_seen_at_the_second_look(
    store: SqlRegistrationStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = registration(1, "ada@example.org"), registration(2, "ada@example.org")
    store.register(first, None)
    looks = iter([False])  # the first look comes too early
    see = sql._address_taken
    monkeypatch.setattr(
        sql, "_address_taken", lambda connection, new: next(looks, None) is not False and see(connection, new)
    )

    with pytest.raises(RegistrationExists):
        store.register(second, None)


def test_pages_stay_put_while_registrations_arrive(store: SqlRegistrationStore) -> None:
    for number in (1, 2, 3, 5):
        store.register(registration(number), None)

    first = store.page("", 2, None)
    store.register(registration(6), None)
    cancel(store, first[0])
    second = store.page(first[-1].registration_id, 2, None)
    third = store.page(second[-1].registration_id, 2, None)

    assert [*first, *second, *third] == [registration(number) for number in (1, 2, 3, 5, 6)]


def test_a_page_can_be_of_one_state(store: SqlRegistrationStore) -> None:
    for number in range(4):
        store.register(registration(number), None)
    failed = [note(store, registration(number), Outcome(FAILED)) for number in (1, 3)]

    assert store.page("", 10, FAILED) == failed
    assert store.page("", 10, SENT) == []


def test_an_outcome_changes_the_confirmation_once(store: SqlRegistrationStore) -> None:
    new = registration()
    store.register(new, None)

    once = note(store, new, Outcome(FAILED, attempts=3, error="SMTP_550: no"))
    twice = note(store, new, Outcome(FAILED, attempts=3, error="SMTP_550: no"), LATER + 1)

    assert once == twice == store.find(new.registration_id)
    assert (once.update_time, once.confirmation.update_time, once.create_time) == (LATER, LATER, START)
    assert (once.confirmation.attempts, once.confirmation.last_error) == (3, "SMTP_550: no")


def test_many_outcomes_are_noted_at_once_and_a_strange_one_spoils_none(store: SqlRegistrationStore) -> None:
    first, second = registration(1), registration(2)
    for new in (first, second):
        store.register(new, None)

    noted = store.note_outcomes(
        [
            News(first.registration_id, first.confirmation.key, Outcome(SENT)),
            News("nobody", "nothing of ours", Outcome(SENT)),
            News(second.registration_id, "", Outcome(FAILED)),
        ],
        LATER,
    )

    assert isinstance(noted[1], RegistrationNotFound)
    assert [noted[0], noted[2]] == store.page("", 10, None)
    assert [each.confirmation.state for each in store.page("", 10, None)] == [SENT, FAILED]


def test_handing_over_notes_the_message_and_drops_the_entry(store: SqlRegistrationStore, database: Database) -> None:
    first, second = registration(1), registration(2)
    for new in (first, second):
        store.register(new, None)

    changed = store.note_handed_over({first.confirmation.key: handed("m1")}, LATER)

    found = store.find(first.registration_id)
    assert (found.confirmation.message_id, found.confirmation.update_time, found.update_time) == ("m1", LATER, LATER)
    assert changed == [found]
    assert outgoing(database) == [entry(second)]
    assert store.find(second.registration_id).confirmation.message_id == ""


def test_a_confirmation_in_the_outbox_never_leaves_it_once_cancelled(
    store: SqlRegistrationStore, database: Database
) -> None:
    new = registration()
    store.register(new, None)

    cancelled = cancel(store, new)

    key = new.confirmation.key
    assert cancelled == store.find(new.registration_id)
    assert names(outgoing(database)) == [(key, True, ""), (f"cancellation:{new.registration_id}", False, "")]


def test_a_confirmation_that_the_broker_has_is_taken_back_by_its_message(
    store: SqlRegistrationStore, database: Database
) -> None:
    new = registration()
    store.register(new, None)
    store.note_handed_over({new.confirmation.key: handed("m1")}, START)

    cancel(store, new)
    withdrawal, told = outgoing(database)
    store.note_handed_over({withdrawal.entry_id: handed("m1", HandOver.WITHDRAWN)}, LATER)

    assert (withdrawal.withdraw, withdrawal.message_id) == (True, "m1")
    assert store.find(new.registration_id).confirmation.state is WITHDRAWN
    assert outgoing(database) == [told]


def test_a_hand_over_that_a_cancellation_overtook_leaves_the_withdrawal(
    store: SqlRegistrationStore, database: Database
) -> None:
    new = registration()
    store.register(new, None)

    cancel(store, new)
    store.note_handed_over({new.confirmation.key: handed("m1")}, LATER)

    assert names(outgoing(database))[0] == (new.confirmation.key, True, "m1")
    assert store.find(new.registration_id).confirmation.message_id == "m1"


def test_a_confirmation_that_had_left_says_so_by_its_own_news(store: SqlRegistrationStore, database: Database) -> None:
    new = registration()
    store.register(new, None)
    cancel(store, new)

    store.note_handed_over({new.confirmation.key: handed("m1", HandOver.GONE)}, LATER)
    gone = store.find(new.registration_id).confirmation.state
    note(store, new, Outcome(SENT))

    assert (gone, store.find(new.registration_id).confirmation.state) == (WITHDRAWN, SENT)
    assert len(outgoing(database)) == 1


def test_what_is_cancelled_stays_as_it_was_cancelled(store: SqlRegistrationStore, database: Database) -> None:
    new = registration()
    store.register(new, None)

    first = cancel(store, new)
    second = store.cancel(new.registration_id, Cause.UNCONFIRMED, "another reason", MUCH_LATER)

    assert first == second == store.find(new.registration_id)
    assert first.state is State.CANCELLED
    assert len(outgoing(database)) == 2


def test_what_comes_after_a_direct_send_waits_until_it_is_decided(
    store: SqlRegistrationStore, database: Database
) -> None:
    new = registration(mode=Mode.BACKGROUND)
    store.register(new, None)

    cancel(store, new)
    over = LATER + microseconds(DIRECT_LIMIT)
    held = [outgoing(database, at) for at in (LATER, over - 1, over)]
    note(store, new, Outcome(SENT))

    assert [len(entries) for entries in held] == [0, 0, 1]
    assert outgoing(database, LATER) == held[2]


def test_a_confirmation_sent_anew_follows_the_withdrawal_of_the_one_before(
    store: SqlRegistrationStore, database: Database
) -> None:
    new = registration()
    store.register(new, None)

    again = store.resend(new.registration_id, None, "f" * 32, LATER)
    third = store.resend(new.registration_id, None, "f" * 32, LATER)

    key = new.confirmation.key
    assert names(outgoing(database)) == [(key, True, ""), (f"{key}:2", True, ""), (f"{key}:3", False, "")]
    assert [again.confirmation.key, third.confirmation.key] == [f"{key}:2", f"{key}:3"]
    assert store.find(new.registration_id) == third


def test_a_confirmation_that_was_sent_is_sent_anew_as_it_is_asked(
    store: SqlRegistrationStore, database: Database
) -> None:
    new = registration(mode=Mode.SEQUENTIAL)
    store.register(new, None)
    note(store, new, Outcome(SENT))

    again = store.resend(new.registration_id, resend_request("r", new.registration_id), "f" * 32, LATER)
    repeated = store.resend(new.registration_id, resend_request("r", new.registration_id), "f" * 32, LATER)

    assert again == repeated
    assert outgoing(database) == [entry(again)]


def test_who_waits_longest_for_a_confirmation_comes_first(store: SqlRegistrationStore) -> None:
    news = [registration(number, now=START + number) for number in (3, 1, 2, 4, 5)]
    for new in news:
        store.register(new, None)
    note(store, news[1], Outcome(SENT))
    note(store, news[2], Outcome(FAILED))
    cancel(store, news[3])
    store.resend(news[0].registration_id, None, "f" * 32, START + 9)

    waiting = [Unconfirmed(news[n].registration_id, since) for n, since in ((2, START + 2), (4, START + 5))]
    assert store.unconfirmed(10) == [*waiting, Unconfirmed(news[0].registration_id, START + 9)]
    assert store.unconfirmed(1) == waiting[:1]


def test_confirmations_cut_off_are_queued_once(store: SqlRegistrationStore, database: Database) -> None:
    cut_off = [registration(1, mode=Mode.BACKGROUND), registration(2, mode=Mode.SEQUENTIAL)]
    settled, queued = registration(3, mode=Mode.BACKGROUND), registration(4)
    for new in (*cut_off, settled, queued):
        store.register(new, None)
    note(store, settled, Outcome(SENT))

    counts = [store.take_over(LATER) for _ in range(2)]

    assert counts == [2, 0]
    assert outgoing(database) == [entry(queued), *map(entry, cut_off)]
    assert store.find(cut_off[0].registration_id).confirmation.mode is Mode.QUEUED


def test_a_cut_off_confirmation_that_nobody_waits_for_is_withdrawn(
    store: SqlRegistrationStore, database: Database
) -> None:
    off, anew = registration(1, mode=Mode.BACKGROUND), registration(2, mode=Mode.BACKGROUND)
    for new in (off, anew):
        store.register(new, None)
    cancel(store, off)
    again = store.resend(anew.registration_id, None, "f" * 32, LATER)

    store.take_over(LATER)

    assert store.find(off.registration_id).confirmation.state is WITHDRAWN
    assert store.find(anew.registration_id) == again
    over = LATER + microseconds(DIRECT_LIMIT)
    assert outgoing(database, over - 1) == []  # the try that was cut off may still go on in the email service
    keys = [each.entry_id for each in outgoing(database, over)]
    assert keys == [f"cancellation:{off.registration_id}", again.confirmation.key]


def test_a_database_that_is_gone_is_unavailable(store: SqlRegistrationStore, database: Database) -> None:
    with database.engine.begin() as connection:
        schema.METADATA.drop_all(connection)

    with pytest.raises(Unavailable):
        store.find("anybody")
