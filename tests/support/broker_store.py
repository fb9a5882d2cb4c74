"""A store with a queue in it, spoken to in few words."""

from dataclasses import replace
from typing import Any, TypeVar

from mesh.clock import SECOND
from mesh.errors import BatonError
from mesh.identifier import Identifiers
from queue_service.message import Delivery, Message
from queue_service.queue_definition import ConsumerSettings, Queue, RetryPolicy
from queue_service.settlement import Ack, Action, LeaseOutcome, Settlement
from queue_service.storage import verbs, views
from queue_service.storage.base import MessageStore
from tests.support.fake_clock import FakeClock

R = TypeVar("R")

# No jitter and round numbers, so that a test can name the instant at which a message comes back.
PLAIN_RETRIES = RetryPolicy(max_retries=2, initial_delay=10 * SECOND, multiplier=2.0, max_delay=60 * SECOND, jitter=0.0)


class BrokerStore:
    """Any store, a clock, and the queue ``work`` with the dead letter queue ``work-dead``."""

    def __init__(self, store: MessageStore) -> None:
        self.store = store
        self.clock = FakeClock()
        self.ids = Identifiers(self.clock)
        consumer = ConsumerSettings(retry_policy=PLAIN_RETRIES, dead_letter_queue="work-dead")
        self.save(Queue("work-dead"), Queue("work", consumer=consumer))

    def do(self, verb: verbs.Verb[R]) -> R:
        (result,) = self.store.apply([verb])
        if isinstance(result, BatonError):
            raise result
        done: R = result
        return done

    def save(self, *queues: Queue) -> tuple[Queue, ...]:
        now = self.clock.now()
        return self.do(verbs.SaveQueues(tuple(replace(queue, create_time=now, update_time=now) for queue in queues)))

    def message(self, text: str = "hello", **fields: Any) -> Message:
        now = self.clock.now()
        plain: dict[str, Any] = {
            "message_id": self.ids(),
            "content": text.encode(),
            "size": len(text.encode()),
            "digest": text.encode() if fields.get("deduplication_id") else b"",
            "send_time": now,
            "deliver_time": None,
            "expire_time": now + 3600 * SECOND,
        }
        return Message(**{**plain, **fields})

    def send(self, *texts: str, queue: str = "work", request_id: str = "", **fields: Any) -> list[str]:
        messages = tuple(self.message(text, **fields) for text in texts)
        results = self.do(verbs.Send(queue, messages, self.clock.now(), request_id))
        return [result.message_id for result in results]

    def lease(self, limit: int = 10, *, queue: str = "work", seconds: int = 30, **fields: Any) -> verbs.Leased:
        now = self.clock.now()
        plain: dict[str, Any] = {"until": now + seconds * SECOND, "limit": limit, "max_bytes": 3 * 1024 * 1024}
        return self.do(verbs.Lease(queue, now, **{**plain, **fields}))

    def settle(self, delivery: Delivery, action: Action | None = None, *, queue: str = "work") -> LeaseOutcome:
        return self.settle_all([(delivery, action or Ack())], queue=queue).outcomes[0]

    def settle_all(self, pairs: list[tuple[Delivery, Action]], *, queue: str = "work") -> verbs.Settled:
        settlements = tuple(Settlement(delivery.lease, action) for delivery, action in pairs)
        return self.do(verbs.Settle(queue, settlements, self.clock.now()))

    def expire(self, queue: str = "work") -> verbs.Settled:
        return self.do(verbs.Expire(queue, self.clock.now()))

    def stats(self, queue: str = "work") -> views.QueueStats:
        return self.do(verbs.Stats(queue, self.clock.now()))

    def turn(self, seconds: float) -> None:
        self.clock.turn(round(seconds * SECOND))


def texts(leased: verbs.Leased) -> list[str]:
    return [delivery.message.content.decode() for delivery in leased.deliveries]
