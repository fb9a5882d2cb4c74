from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from email_service.content import Newsletter, Plain, RegistrationCancellation, RegistrationConfirmation
from email_service.email_record import Draft, Email, State
from email_service.errors import IdempotencyKeyReused
from email_service.failure import Failure
from email_service.storage.base import EmailStore
from email_service.storage.schema import SCHEMA, outbox
from email_service.storage.sql import SqlEmailStore
from mesh.database import Database, sqlite_url
from mesh.errors import Unavailable
from mesh.outbox_entry import OutboxEntry
from tests.support.fake_clock import START
from tests.support.postgres import emptied

DRAFT = Draft("k-1", "runner@example.org", Plain("Hi", "text"), "digest", "email-reports", "c-1")
ROOMY = 3 * 1024 * 1024


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    if request.param == "sqlite":
        return Database(sqlite_url(tmp_path / "email.db"), SCHEMA)
    return Database(emptied(request.getfixturevalue("postgres")), SCHEMA)


@pytest.fixture
def store(database: Database) -> Iterator[EmailStore]:
    store = SqlEmailStore(database)
    yield store
    store.close()


def claimed(store: EmailStore, key: str = "k-1", **changes: object) -> Email:
    draft = replace(DRAFT, idempotency_key=key, **changes)  # type: ignore[arg-type]
    return store.claim(draft, f"id-{key}", "Hi", START)


def entry(name: str) -> OutboxEntry:
    return OutboxEntry(name, "email-reports", "baton.email.v1.EmailReport", b"\x00\xff", {"traceparent": "00-1"})


def reports(database: Database) -> list[OutboxEntry]:
    with database.engine.begin() as connection:
        return outbox.pending(connection, START + 1, 10)


def test_a_new_key_is_claimed_as_sending(store: EmailStore) -> None:
    email = claimed(store)

    assert (email.email_id, email.state, email.attempts, email.created_at) == ("id-k-1", State.SENDING, 1, START)
    assert store.find("id-k-1") == email


def test_a_repeat_of_what_is_not_final_counts_one_attempt_more(store: EmailStore) -> None:
    first = claimed(store)
    store.note_failure(first.failed(Failure("SMTP_451", "later")))

    second = store.claim(DRAFT, "another-id", "Hi", START + 1)

    assert (second.email_id, second.attempts, second.reason, second.last_error) == ("id-k-1", 2, "SMTP_451", "later")
    assert second.created_at == START


def test_final_outcomes_come_back_as_they_are(store: EmailStore) -> None:
    sent = claimed(store, "k-1").sent(START + 5)
    failed = claimed(store, "k-2").failed(Failure("SMTP_550", "never", permanent=True))
    for email in (sent, failed):
        store.conclude(email, [], START + 5)

    assert claimed(store, "k-1") == sent
    assert claimed(store, "k-2") == failed


def test_other_content_under_a_key_is_refused_and_changes_nothing(store: EmailStore) -> None:
    first = claimed(store)

    with pytest.raises(IdempotencyKeyReused):
        claimed(store, digest="other")

    assert store.find(first.email_id) == first


@pytest.mark.parametrize(
    "content",
    [
        Plain("Hi", "nul \0, ü, \U0001f3c3"),
        Newsletter("News", "body", "https://example.org/u", "Ann"),
        RegistrationCancellation("Ann", "Race", "r-1", "why"),
        RegistrationConfirmation("Ann", "Race", "10 km", "r-1", -START, "Square"),
        RegistrationConfirmation("Ann", "Race", "10 km", "r-1"),
    ],
)
def test_every_content_comes_back_whole(store: EmailStore, content: Plain) -> None:
    email = claimed(store, content=content)

    assert store.find(email.email_id) == email


def test_an_unknown_id_is_not_found(store: EmailStore) -> None:
    assert store.find("nobody") is None


def test_pages_go_from_the_newest_to_the_oldest(store: EmailStore) -> None:
    for number in range(5):
        claimed(store, f"k-{number}")

    first = store.page("", 2, ROOMY, "")
    second = store.page(first.position, 2, ROOMY, "")
    third = store.page(second.position, 2, ROOMY, "")

    ids = [[email.email_id for email in page.emails] for page in (first, second, third)]
    assert ids == [["id-k-4", "id-k-3"], ["id-k-2", "id-k-1"], ["id-k-0"]]
    assert third.position == ""


def test_a_page_can_be_for_one_address_in_any_letter_case(store: EmailStore) -> None:
    claimed(store, "k-1", to="Ann@Example.org")
    claimed(store, "k-2", to="bob@example.org")

    page = store.page("", 10, ROOMY, "aNN@example.ORG")

    assert [email.email_id for email in page.emails] == ["id-k-1"]


def test_a_page_ends_where_it_would_grow_too_large_but_is_never_empty(store: EmailStore) -> None:
    for number in range(3):
        claimed(store, f"k-{number}", content=Plain("Hi", "x" * 100_000))

    assert [len(store.page("", 10, size, "").emails) for size in (1, 150_000, 250_000, ROOMY)] == [1, 1, 2, 3]


def test_an_outcome_and_its_report_are_stored_together(database: Database, store: EmailStore) -> None:
    email = claimed(store).sent(START + 1)
    store.conclude(email, [entry("r-1")], START + 1)
    store.conclude(claimed(store, "k-2"), [], START + 1)

    assert reports(database) == [entry("r-1")]
    with pytest.raises(Unavailable):  # the same report again breaks the transaction
        store.conclude(email.failed(Failure("SMTP_550", "no", permanent=True)), [entry("r-1")], START + 2)
    assert store.find(email.email_id) == email


def test_emails_and_reports_outlive_the_process(tmp_path: Path) -> None:
    def opened() -> tuple[Database, SqlEmailStore]:
        database = Database(sqlite_url(tmp_path / "email.db"), SCHEMA)
        return database, SqlEmailStore(database)

    _, store = opened()
    email = claimed(store).sent(START)
    store.conclude(email, [entry("r-1")], START)
    store.close()

    database, store = opened()
    assert (claimed(store), reports(database)) == (email, [entry("r-1")])
    store.close()
