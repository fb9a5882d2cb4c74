"""The agreed limits, as the shipped tables of field rules enforce them: at the limit, and one step beyond."""

from typing import Any

import pytest
from google.protobuf.message import Message

from baton.email.v1 import email_pb2 as mail
from baton.email.v1 import email_service_pb2 as mail_calls
from baton.queue.v1 import consumer_service_pb2 as consumer
from baton.queue.v1 import message_pb2 as message
from baton.queue.v1 import producer_service_pb2 as producer
from baton.queue.v1 import queue_pb2 as queue
from baton.queue.v1 import queue_service_pb2 as queues
from baton.signup.v1 import registration_pb2 as runner
from baton.signup.v1 import signup_service_pb2 as signup
from mesh.field_rules import FieldRules
from tests.support.planted_rules import check, fields

RULES = FieldRules(("queue", "email", "signup", "mesh"))
MIB = 1024 * 1024
HOUR, DAY = 3_600, 86_400


def seconds(count: float) -> dict[str, int]:
    return {"seconds": int(count), "nanos": round(count % 1 * 1e9)}


def attributes(count: int, key_bytes: int, value_bytes: int = 0) -> dict[str, str]:
    return {f"{number:02}".ljust(key_bytes, "k"): "v" * value_bytes for number in range(count)}


def send(**fields: Any) -> Message:
    return producer.SendMessageRequest(queue="work", message=message.QueueMessage(**{"text": "a", **fields}))


def send_many(count: int, size: int = 0) -> Message:
    return producer.SendMessagesRequest(queue="work", messages=[message.QueueMessage(data=b"x" * size)] * count)


def pull(**fields: Any) -> Message:
    return consumer.PullMessagesRequest(**{"queue": "work", **fields})


def settle(*settlements: message.Settlement) -> Message:
    return consumer.SettleMessagesRequest(queue="work", settlements=settlements)


def create(name: str = "work", **fields: Any) -> Message:
    return queues.CreateQueueRequest(queue=queue.Queue(name=name, **fields))


def consume(**fields: Any) -> Message:
    return create(consumer=queue.ConsumerSettings(**fields))


def retry(**fields: Any) -> Message:
    return consume(retry_policy=queue.RetryPolicy(**fields))


def email(**fields: Any) -> Message:
    plain: dict[str, Any] = {
        "idempotency_key": "k",
        "to": "ada@example.org",
        "plain": mail.PlainEmail(subject="Hello", body="Hi"),
    }
    return mail_calls.SendEmailRequest(email=mail.Email(**{**plain, **fields}))


def register(**fields: Any) -> Message:
    plain: dict[str, Any] = {
        "first_name": "Ada",
        "last_name": "Lovelace",
        "email": "ada@example.org",
        "distance": runner.DISTANCE_MARATHON,
    }
    return signup.RegisterRequest(registration=runner.Registration(**{**plain, **fields}))


ACK = message.Settlement(lease_id="x", ack=message.Ack())
LONG_ADDRESS = "a" * 60 + "@" + ".".join(["b" * 60] * 3) + ".org"

INSIDE = [
    send(data=b"x" * MIB),
    send(data=b"x" * (MIB - 4096), attributes=attributes(32, 128)),
    send(attributes=attributes(64, 2, 62)),
    send(attributes={"a.b_c-9": ""}),
    send(deduplication_id="d" * 128, ordering_key="o" * 128, content_type="c" * 255),
    send(delay=seconds(0), ttl=seconds(60)),
    send(delay=seconds(7 * DAY), ttl=seconds(30 * DAY)),
    send_many(1_000),
    send_many(3, MIB),
    pull(),
    pull(max_messages=1_000, max_bytes=3 * MIB, max_wait=seconds(60), visibility_timeout=seconds(12 * HOUR)),
    pull(visibility_timeout=seconds(1), consumer_instance="c" * 128, request_id="r" * 128),
    settle(*[ACK] * 1_000),
    settle(message.Settlement(lease_id="x", retry=message.Retry(delay=seconds(7 * DAY)))),  # type: ignore[arg-type]
    create("a"),
    create("a" + "-" * 61 + "z"),
    create(deduplication_window=seconds(60), message_retention=seconds(60), delivery_delay=seconds(7 * DAY)),
    create(deduplication_window=seconds(7 * DAY), message_retention=seconds(30 * DAY)),
    consume(max_batch_size=1_000, max_batch_timeout=seconds(60), visibility_timeout=seconds(12 * HOUR)),
    consume(max_batch_size=1, max_batch_timeout=seconds(0), visibility_timeout=seconds(1)),
    retry(max_retries=0, multiplier=1, jitter=0, initial_delay=seconds(0)),
    retry(max_retries=1_000, multiplier=100, jitter=1, max_delay=seconds(7 * DAY)),
    queues.ListQueuesRequest(page_size=2**31 - 1),
    email(idempotency_key="k" * 128, correlation_id="c" * 128, report_queue="email-reports"),
    email(to=LONG_ADDRESS[-254:]),
    register(first_name="A" * 256, address="x" * 1024, email="ada@xn--bcher-kva.example"),
    register(first_name="Åsa-María", email="dörte@bücher.example"),
]

BEYOND = [
    (send(data=b"x" * (MIB + 1)), "message.body"),
    (send(data=b"x" * (MIB - 4095), attributes=attributes(32, 128)), "message.body"),
    (send(attributes=attributes(65, 2)), "message.attributes"),
    (send(attributes=attributes(64, 2, 63)), "message.attributes"),
    (send(attributes={"A": ""}), "message.attributes['A']"),
    (send(attributes={"": ""}), "message.attributes['']"),
    (send(attributes={"k" * 129: ""}), "message.attributes[" + repr("k" * 129)[:64] + "... (131 characters)]"),
    (send(deduplication_id="d" * 129), "message.deduplication_id"),
    (send(ordering_key="ü" * 65), "message.ordering_key"),
    (send(delay=seconds(7 * DAY + 1e-9)), "message.delay"),
    (send(ttl=seconds(59.999)), "message.ttl"),
    (send(ttl=seconds(30 * DAY + 1)), "message.ttl"),
    (send(json="{"), "message.json"),
    (send_many(0), "messages"),
    (send_many(1_001), "messages"),
    (producer.SendMessagesRequest(queue="work", messages=[message.QueueMessage(data=b"x" * 787_000)] * 4), "messages"),
    (pull(queue=""), "queue"),
    (pull(max_messages=-1), "max_messages"),
    (pull(max_messages=1_001), "max_messages"),
    (pull(max_wait=seconds(60.1)), "max_wait"),
    (pull(visibility_timeout=seconds(0.999)), "visibility_timeout"),
    (pull(visibility_timeout=seconds(12 * HOUR + 1)), "visibility_timeout"),
    (pull(consumer_instance="c" * 129), "consumer_instance"),
    (pull(request_id="r" * 129), "request_id"),
    (settle(*[ACK] * 1_001), "settlements"),
    (settle(ACK, message.Settlement(lease_id="x")), "settlements[1].action"),
    (create(""), "queue.name"),
    (create("Work"), "queue.name"),
    (create("work-"), "queue.name"),
    (create("9work"), "queue.name"),
    (create("a" * 64), "queue.name"),
    (create("work\n"), "queue.name"),
    (create(deduplication_window=seconds(59)), "queue.deduplication_window"),
    (create(message_retention=seconds(30 * DAY + 1)), "queue.message_retention"),
    (consume(max_batch_size=0), "queue.consumer.max_batch_size"),
    (consume(max_batch_timeout=seconds(61)), "queue.consumer.max_batch_timeout"),
    (retry(multiplier=0.99), "queue.consumer.retry_policy.multiplier"),
    (retry(jitter=float("nan")), "queue.consumer.retry_policy.jitter"),
    (retry(max_retries=1_001), "queue.consumer.retry_policy.max_retries"),
    (consume(push=queue.PushTarget(address="unix:/x")), "queue.consumer.push.call"),
    (queues.ListQueuesRequest(page_size=-1), "page_size"),
    (email(to="ada@"), "email.to"),
    (email(idempotency_key=""), "email.idempotency_key"),
    (email(idempotency_key="k" * 129), "email.idempotency_key"),
    (email(plain=mail.PlainEmail(subject="Hello")), "email.plain.body"),
    (email(report_queue="Reports"), "email.report_queue"),
    (register(first_name=" "), "registration.first_name"),
    (register(first_name="Ada\r\nBcc: all@example.org"), "registration.first_name"),
    (register(last_name="x" * 257), "registration.last_name"),
    (register(distance=0), "registration.distance"),
    (register(distance=99), "registration.distance"),
    (register(email="ada.example.org"), "registration.email"),
    (register(address="x" * 1025), "registration.address"),
]


def words(case: object) -> str:
    text = case.DESCRIPTOR.name if isinstance(case, Message) else str(case)
    return text[:60]


@pytest.mark.parametrize("request_", INSIDE, ids=words)
def test_at_its_limits_a_request_is_right(request_: Message) -> None:
    assert check(RULES, request_) == []


@pytest.mark.parametrize(("request_", "field"), BEYOND, ids=words)
def test_beyond_a_limit_the_field_is_named(request_: Message, field: str) -> None:
    assert fields(check(RULES, request_)) == [field]
