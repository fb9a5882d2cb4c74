"""Tables of field rules: how they are read, where they apply, what they refuse to be."""

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from baton.email.v1 import email_service_pb2
from baton.queue.v1 import consumer_service_pb2, message_pb2, producer_service_pb2, queue_pb2, queue_service_pb2
from baton.signup.v1 import signup_service_pb2
from mesh.errors import InvalidArgument, Violation
from mesh.field_rules import FieldRules, FieldRulesError
from mesh.status import MAX_STATUS_BYTES, to_status
from tests.support.any_message import any_message
from tests.support.planted_rules import PlantRules, check, fields

REAL = FieldRules(["queue", "email", "signup", "mesh"])
REQUESTS = [
    descriptor
    for file in (
        queue_service_pb2,
        producer_service_pb2,
        consumer_service_pb2,
        email_service_pb2,
        signup_service_pb2,
    )
    for name, descriptor in file.DESCRIPTOR.message_types_by_name.items()
    if name.endswith("Request")
]
WEEK = Duration(seconds=7 * 86_400)
TOO_LONG = Duration(seconds=7 * 86_400 + 1)


def send(*messages: message_pb2.QueueMessage) -> producer_service_pb2.SendMessagesRequest:
    return producer_service_pb2.SendMessagesRequest(queue="work", messages=messages)


def test_a_message_without_rules_is_never_wrong(plant: PlantRules) -> None:
    rules = plant("[Queue]\nname = { required = true }")

    assert check(rules, message_pb2.TypedBody()) == []


def test_every_violation_is_named_at_once() -> None:
    request = send(message_pb2.QueueMessage(delay=WEEK), message_pb2.QueueMessage(delay=TOO_LONG, json="{"))
    request.queue = ""
    request.request_id = "r" * 129

    found = check(REAL, request)

    assert sorted(fields(found)) == ["messages[1].delay", "messages[1].json", "queue", "request_id"]


def test_a_nested_violation_has_the_path_from_the_request() -> None:
    queue = queue_pb2.Queue(name="work", consumer=queue_pb2.ConsumerSettings())
    queue.consumer.retry_policy.initial_delay.CopyFrom(TOO_LONG)
    many = send(*[message_pb2.QueueMessage()] * 3, message_pb2.QueueMessage(delay=TOO_LONG))

    assert fields(check(REAL, queue_service_pb2.CreateQueueRequest(queue=queue))) == [
        "queue.consumer.retry_policy.initial_delay"
    ]
    assert check(REAL, many) == [Violation("messages[3].delay", "must be at most 7d, is 604801s")]


def test_output_only_fields_are_not_looked_at() -> None:
    queue = queue_pb2.Queue(name="work", create_time=Timestamp(seconds=2**62), pause_expire_time=Timestamp(nanos=-1))
    message = message_pb2.QueueMessage(text="a", message_id="x" * 10_000, send_time=Timestamp(nanos=-1))

    assert check(REAL, queue_service_pb2.CreateQueueRequest(queue=queue)) == []
    assert check(REAL, send(message)) == []


@pytest.mark.parametrize(
    "empty",
    [
        producer_service_pb2.SendMessagesRequest(messages=[message_pb2.QueueMessage()]),
        producer_service_pb2.SendMessageRequest(message=message_pb2.QueueMessage()),
    ],
)
def test_a_required_string_must_not_be_empty(empty: Message) -> None:
    assert check(REAL, empty) == [Violation("queue", "is required")]


def test_a_required_list_message_enum_and_oneof_must_be_there(plant: PlantRules) -> None:
    rules = plant(
        """
        [SendMessagesRequest]
        messages = { required = true }
        [SendMessageRequest]
        message = { required = true }
        [Queue]
        state = { required = true }
        [Settlement]
        action = { required = true }
        """
    )

    assert fields(check(rules, producer_service_pb2.SendMessagesRequest())) == ["messages"]
    assert fields(check(rules, producer_service_pb2.SendMessageRequest())) == ["message"]
    assert fields(check(rules, queue_pb2.Queue())) == ["state"]
    assert fields(check(rules, message_pb2.Settlement())) == ["action"]


def test_what_is_required_may_be_a_message_with_nothing_in_it(plant: PlantRules) -> None:
    rules = plant("[SendMessageRequest]\nmessage = { required = true }\n[Settlement]\naction = { required = true }")

    request = producer_service_pb2.SendMessageRequest(message=message_pb2.QueueMessage())

    assert check(rules, request) == []
    assert check(rules, message_pb2.Settlement(ack=message_pb2.Ack())) == []


@pytest.mark.parametrize(
    ("table", "named"),
    [
        ("[Qeue]\nname = { required = true }", "baton.queue.v1.Qeue"),
        ("[Queue]\nnmae = { required = true }", "nmae"),
        ("[Queue]\nname = { max_byte = 1 }", "max_byte"),
        ("[QueueMessage]\njson = { format = 'jsno' }", "jsno"),
        ("[Settlement]\naction = { requierd = true }", "requierd"),
        ("[Queue]\nname = { max_total_bytes = 1 }", "max_total_bytes"),
        ("[SettleMessagesRequest]\nsettlements = { max_total_bytes = 1 }", "max_total_bytes"),
        ("[QueueMessage]\n'*' = { bytes_of = ['txet'], max_bytes = 1, as = 'body', with = 'x' }", "txet"),
        ("[QueueMessage]\n'*' = { bytes_of = ['text'], max_byte = 1, as = 'body', with = 'x' }", "max_byte"),
    ],
)
def test_a_table_that_names_what_is_not_there_is_refused(plant: PlantRules, table: str, named: str) -> None:
    with pytest.raises(FieldRulesError, match=named):
        plant(table)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(REQUESTS).flatmap(any_message))
def test_no_request_whatever_is_in_it_makes_the_check_fail(request: Message) -> None:
    parsed = type(request).FromString(request.SerializeToString())

    violations = REAL.check(parsed, request.ByteSize())

    assert all(violation.field and violation.description for violation in violations)
    if violations:
        assert to_status(InvalidArgument(violations), "queue.baton").ByteSize() <= MAX_STATUS_BYTES


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(REQUESTS).flatmap(any_message))
def test_a_larger_bound_on_the_size_finds_the_same_violations(request: Message) -> None:
    exact = REAL.check(request, request.ByteSize())
    loose = REAL.check(request, 2**40)

    assert exact == loose
