"""Each kind of field rule at its bound, one step inside it and one step outside."""

import json
import math
import time

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from baton.queue.v1.consumer_service_pb2 import PullMessagesRequest
from baton.queue.v1.message_pb2 import QueueMessage, TypedBody
from baton.queue.v1.producer_service_pb2 import SendMessagesRequest
from baton.queue.v1.queue_pb2 import Queue, RetryPolicy
from mesh.errors import Violation
from tests.support.planted_rules import PlantRules, check, fields

TABLE = """
[PullMessagesRequest]
max_messages = { min = -1, max = 3 }
max_wait = { min = "1s", max = "1500ms" }
queue = { max_bytes = 4 }
consumer_instance = { regex = "[a-z]+", says = "small letters" }
request_id = { format = "email" }

[RetryPolicy]
jitter = { min = 0.25, max = 0.75 }

[QueueMessage]
"*" = { bytes_of = ["text", "typed", "attributes"], max_bytes = 10, as = "body", with = "attributes" }
json = { format = "json" }
data = { max_bytes = 4 }
typed = { max_bytes = 9 }
attributes = { max_bytes = 8, max_items = 3, min_items = 2, regex = "[a-z]*" }

[SendMessagesRequest]
messages = { max_items = 3, max_total_bytes = 12 }
"""


def span(nanos: int) -> Duration:
    return Duration(seconds=nanos // 1_000_000_000, nanos=nanos % 1_000_000_000)


def send(*texts: str) -> SendMessagesRequest:
    return SendMessagesRequest(messages=[QueueMessage(text=text) for text in texts])


@pytest.mark.parametrize(
    "inside",
    [
        PullMessagesRequest(max_messages=-1),
        PullMessagesRequest(max_messages=3),
        PullMessagesRequest(max_wait=span(1_000_000_000)),
        PullMessagesRequest(max_wait=span(1_500_000_000)),
        PullMessagesRequest(queue="abcd"),
        PullMessagesRequest(queue="üü"),
        PullMessagesRequest(consumer_instance="a"),
        PullMessagesRequest(request_id="ada@example.org"),
        RetryPolicy(jitter=0.25),
        RetryPolicy(jitter=0.75),
        QueueMessage(json='{"a": [1e999, "\\ud800", null]}'),
        QueueMessage(data=b"1234"),
        QueueMessage(typed=TypedBody(value=b"1234567")),
        QueueMessage(attributes={"a": "12", "b": "34"}),
        QueueMessage(attributes={"": "", "b": "", "c": ""}),
        QueueMessage(text="1234", attributes={"a": "12", "b": "34"}),
        send("1234", "1234", "1234"),
    ],
    ids=repr,
)
def test_at_the_bound_all_is_well(plant: PlantRules, inside: Message) -> None:
    assert check(plant(TABLE), inside) == []


@pytest.mark.parametrize(
    ("outside", "field", "why"),
    [
        (PullMessagesRequest(max_messages=-2), "max_messages", "must be at least -1, is -2"),
        (PullMessagesRequest(max_messages=4), "max_messages", "must be at most 3, is 4"),
        (PullMessagesRequest(max_wait=span(999_999_999)), "max_wait", "must be at least 1s, is 0.999999999s"),
        (PullMessagesRequest(max_wait=span(1_500_000_001)), "max_wait", "must be at most 1500ms, is 1.500000001s"),
        (PullMessagesRequest(queue="abcde"), "queue", "may have at most 4 bytes, has 5"),
        (PullMessagesRequest(queue="ü€"), "queue", "may have at most 4 bytes, has 5"),
        (
            PullMessagesRequest(consumer_instance="a\n"),
            "consumer_instance",
            "must match [a-z]+, is 'a\\n': small letters",
        ),
        (RetryPolicy(jitter=0.24), "jitter", "must be at least 0.25, is 0.24"),
        (RetryPolicy(jitter=0.76), "jitter", "must be at most 0.75, is 0.76"),
        (RetryPolicy(jitter=math.nan), "jitter", "must be at least 0.25, is nan"),
        (RetryPolicy(jitter=math.inf), "jitter", "must be at most 0.75, is inf"),
        (QueueMessage(data=b"12345"), "data", "may have at most 4 bytes, has 5"),
        (QueueMessage(typed=TypedBody(value=b"12345678")), "typed", "may have at most 9 bytes, has 10"),
        (QueueMessage(attributes={"a": ""}), "attributes", "must have at least 2 items, has 1"),
        (QueueMessage(attributes=dict.fromkeys("abcd", "")), "attributes", "must have at most 3 items, has 4"),
        (QueueMessage(attributes={"a": "1234", "b": "567"}), "attributes", "may have at most 8 bytes, has 9"),
        (QueueMessage(attributes={"a": "", "B": ""}), "attributes['B']", "key must match [a-z]*"),
        (
            QueueMessage(text="12345", attributes={"a": "12", "b": "34"}),
            "body",
            "may have at most 10 bytes with its attributes, has 11",
        ),
        (send("1234", "1234", "12345"), "messages", "may have at most 12 bytes in all, has 13"),
        (send("", "", "", ""), "messages", "must have at most 3 items, has 4"),
    ],
    ids=repr,
)
def test_beyond_the_bound_the_sentence_names_limit_and_value(
    plant: PlantRules, outside: Message, field: str, why: str
) -> None:
    assert check(plant(TABLE), outside) == [Violation(field, why)]


@pytest.mark.parametrize("text", ["{", "NaN", "-Infinity", "{'a': 1}", "1 2", "[" * 100_000, ""])
def test_what_is_not_json_is_refused(plant: PlantRules, text: str) -> None:
    found = check(plant(TABLE), QueueMessage(json=text))

    assert fields(found) == ["json"]
    assert found[0].description.startswith("is no valid JSON: ")


def test_a_number_of_any_length_is_json(plant: PlantRules) -> None:
    assert check(plant(TABLE), QueueMessage(json=json.dumps("x") + " " * 10)) == []
    assert check(plant(TABLE), QueueMessage(json="1" * 100_000)) == []


@pytest.mark.parametrize("text", ["ada", "@example.org", "ada@", "a b@example.org", "ada@exa mple.org", "a@b@c.org"])
def test_what_is_no_email_address_is_refused_and_quoted(plant: PlantRules, text: str) -> None:
    found = check(plant(TABLE), PullMessagesRequest(request_id=text))

    assert fields(found) == ["request_id"]
    assert f"is no email address: {text!r}" in found[0].description


@pytest.mark.parametrize(
    "duration",
    [
        Duration(nanos=1_000_000_000),
        Duration(seconds=1, nanos=-1),
        Duration(seconds=-1, nanos=1),
        Duration(seconds=315_576_000_001),
        Duration(seconds=-(2**63)),
    ],
)
def test_an_invalid_duration_is_refused_without_a_rule(plant: PlantRules, duration: Duration) -> None:
    found = check(plant(TABLE), QueueMessage(delay=duration))

    assert fields(found) == ["delay"]
    assert "is no valid duration" in found[0].description


@pytest.mark.parametrize(
    ("when", "valid"),
    [
        (Timestamp(seconds=-62_135_596_800), True),
        (Timestamp(seconds=253_402_300_799, nanos=999_999_999), True),
        (Timestamp(seconds=-62_135_596_801), False),
        (Timestamp(seconds=253_402_300_800), False),
        (Timestamp(nanos=-1), False),
        (Timestamp(nanos=1_000_000_000), False),
    ],
)
def test_a_time_beyond_what_a_timestamp_can_be_is_refused_without_a_rule(
    plant: PlantRules, when: Timestamp, valid: bool
) -> None:
    assert fields(check(plant(TABLE), QueueMessage(deliver_time=when))) == ([] if valid else ["deliver_time"])


def test_an_unknown_enum_value_is_refused_without_a_rule(plant: PlantRules) -> None:
    queue = Queue.FromString(Queue(name="work").SerializeToString())
    field = next(field for field in queue.DESCRIPTOR.fields if field.enum_type is not None)
    setattr(queue, field.name, 77)

    (violation,) = check(plant("[Queue]"), queue)

    assert violation.field == field.name
    assert violation.description.startswith("has no value 77; there are ")


def test_a_long_value_is_cut_in_its_sentence(plant: PlantRules) -> None:
    (violation,) = check(plant(TABLE), PullMessagesRequest(consumer_instance="X" * 100_000))

    assert len(violation.description) < 200


@pytest.mark.parametrize("rule", ['regex = "[^x]*[a-z][^x]*"', 'format = "email"', 'format = "json"'])
def test_what_is_too_long_is_read_no_further(plant: PlantRules, rule: str) -> None:
    rules = plant(f"[PullMessagesRequest]\nrequest_id = {{ {rule}, max_bytes = 128 }}")
    hostile = PullMessagesRequest(request_id="a" * 4_000_000 + "x")

    before = time.monotonic()
    (violation,) = check(rules, hostile)

    assert violation.description == "may have at most 128 bytes, has 4000001"
    assert time.monotonic() - before < 1


def test_a_list_that_is_too_long_is_not_gone_through(plant: PlantRules) -> None:
    rules = plant("[SendMessagesRequest]\nmessages = { max_items = 3 }\n[QueueMessage]\nbody = { required = true }")

    found = check(rules, SendMessagesRequest(messages=[QueueMessage()] * 4))

    assert fields(found) == ["messages"]
