"""Messages that the first release stored are delivered by this one as they were sent."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from baton.queue.v1.message_pb2 import QueueMessage, TypedBody
from mesh.database import sqlite_url
from mesh.migration import migrate
from mesh.nul_text import written
from queue_service.message import DeadLetter, DeadLetterReason
from queue_service.queue_definition import Queue
from queue_service.storage.rows import queue_values
from queue_service.storage.schema import QUEUES, SCHEMA
from queue_service.storage.sql import SqlStore
from queue_service.storage.verbs import Lease
from tests.support.first_release import first_tables
from tests.support.postgres import emptied

NOW = 1_790_000_000_000_000
STRANGE = 'a\0b\\0 "ü"'
DEAD = DeadLetter(DeadLetterReason.REJECTED, "before", 2, NOW - 5, NOW, ())

SENT = [
    QueueMessage(),
    QueueMessage(text="grüße", attributes={"traceparent": "00-ab", "strange": STRANGE}, content_type=STRANGE),
    QueueMessage(json='{"a": 1}'),
    QueueMessage(data=b"\x00\xff"),
    QueueMessage(typed=TypedBody(type_name="baton.email.v1.SendEmailRequest", value=b"\x0a\x00")),
]


def stored(number: int, sent: QueueMessage) -> tuple[dict[str, Any], dict[str, Any]]:
    """The rows of a message and of its delivery state, as the first release wrote them."""
    kinds = {None: (0, b""), "text": (1, sent.text.encode()), "json": (2, sent.json.encode()), "data": (3, sent.data)}
    kinds["typed"] = (4, sent.typed.value)
    kind, body = kinds[sent.WhichOneof("body")]
    key = {"queue_number": 1, "message_id": number.to_bytes(16)}
    message = {
        "body_kind": kind,
        "type_name": sent.typed.type_name,
        "body": body,
        "attributes": json.dumps(dict(sent.attributes)) if sent.attributes else "",
        "content_type": sent.content_type,
        "deduplication_id": STRANGE,
        "ordering_key": "",
        "send_time": NOW,
        "deliver_time": NOW + number,
        "expire_time": NOW + 1_000_000_000,
        "producer": "",
        "dead_letter": json.dumps(asdict(DEAD)),
    }
    delivery: dict[str, Any] = {
        "rank": 0,
        "due_at": NOW + number,
        "expire_time": NOW + 1_000_000_000,
        "size": 5,
        "wire": 700,
    }
    delivery |= {"serial": 3, "lapsed": 0, "attached": 0, "failed": 0, "deliveries": 0, "consumer_instance": ""}
    return key | message, key | delivery | {"code": ""}


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return sqlite_url(tmp_path / "queue.db")
    return emptied(request.getfixturevalue("postgres"))


@pytest.fixture
def store(url: str) -> Iterator[SqlStore]:
    first_tables(url, SCHEMA)
    engine = sa.create_engine(url)
    careful = written if engine.dialect.name == "postgresql" else str
    with engine.begin() as connection:
        connection.execute(sa.insert(QUEUES).values(number=1, **queue_values(Queue("work"))))
        found = sa.MetaData()
        found.reflect(connection)
        for number, sent in enumerate(SENT):
            message, delivery = stored(number, sent)
            message |= {name: careful(message[name]) for name in ("content_type", "deduplication_id")}
            connection.execute(sa.insert(found.tables["messages"]).values(message))
            connection.execute(sa.insert(found.tables["deliveries"]).values(delivery))
        counters = found.tables["counters"]
        counts = dict.fromkeys(counters.columns.keys(), 0) | {"queue_number": 1, "messages": len(SENT)}
        connection.execute(sa.insert(counters).values(counts))
    engine.dispose()
    migrate(url, SCHEMA)
    made = SqlStore(url)
    yield made
    made.close()


def test_messages_of_the_first_release_are_delivered_as_they_were_sent(store: SqlStore) -> None:
    (leased,) = store.apply([Lease("work", NOW + 1_000, NOW + 2_000, 10, 1 << 20)])

    messages = [delivery.message for delivery in leased.deliveries]
    assert [QueueMessage.FromString(message.content) for message in messages] == SENT
    assert [message.deliver_time for message in messages] == [NOW + number for number in range(len(SENT))]
    assert {(message.deduplication_id, message.send_time, message.dead_letter) for message in messages} == {
        (STRANGE, NOW, DEAD)
    }
    assert {delivery.lease.delivery for delivery in leased.deliveries} == {4}
