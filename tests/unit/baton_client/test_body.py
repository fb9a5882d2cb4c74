from dataclasses import dataclass
from typing import Any

import pytest

from baton.email.v1.email_pb2 import PlainEmail
from baton.queue.v1 import message_pb2 as pb
from baton_client.body import decoder, encode_body, natural_body
from baton_client.errors import BodyError


@dataclass
class Point:
    x: int
    y: int = 0


EMAIL = PlainEmail(subject="Hi")
TYPED = pb.TypedBody(type_name="baton.email.v1.PlainEmail", value=EMAIL.SerializeToString())


@pytest.mark.parametrize(
    ("body", "encoded"),
    [
        ("", pb.QueueMessage(text="")),
        ("ü", pb.QueueMessage(text="ü")),
        (b"\xff", pb.QueueMessage(data=b"\xff")),
        (bytearray(b"a"), pb.QueueMessage(data=b"a")),
        (EMAIL, pb.QueueMessage(typed=TYPED)),
        ({"a": [1, None, True, 1.5, "ü"]}, pb.QueueMessage(json='{"a":[1,null,true,1.5,"ü"]}')),
        ([], pb.QueueMessage(json="[]")),
        (7, pb.QueueMessage(json="7")),
        (None, pb.QueueMessage(json="null")),
        (Point(1, 2), pb.QueueMessage(json='{"x":1,"y":2}')),
    ],
)
def test_a_body_is_sent_as_what_it_is(body: object, encoded: pb.QueueMessage) -> None:
    assert encode_body(body) == encoded


@pytest.mark.parametrize("body", [object(), {1, 2}, {"a": object()}, {"a": float("inf")}, Point, {"a": b"x"}])
def test_what_no_body_can_carry_is_refused(body: object) -> None:
    with pytest.raises(BodyError):
        encode_body(body)


@pytest.mark.parametrize("body", ["a", b"a", EMAIL, {"a": 1}, [1], 7, None, True])
def test_by_itself_a_body_comes_back_as_it_was(body: object) -> None:
    assert natural_body(encode_body(body)) == body


def test_a_typed_body_of_a_type_nobody_here_knows_stays_as_it_came() -> None:
    typed = pb.TypedBody(type_name="foreign.v1.Thing", value=b"\x08\x01")

    assert natural_body(pb.QueueMessage(typed=typed)) == typed


@pytest.mark.parametrize(
    ("wanted", "message", "body"),
    [
        (str, pb.QueueMessage(text="a"), "a"),
        (str, pb.QueueMessage(json='{"a" : 1}'), '{"a" : 1}'),
        (bytes, pb.QueueMessage(text="ü"), "ü".encode()),
        (bytes, pb.QueueMessage(typed=TYPED), TYPED.value),
        (PlainEmail, pb.QueueMessage(typed=TYPED), EMAIL),
        (PlainEmail, pb.QueueMessage(data=TYPED.value), EMAIL),
        (dict, pb.QueueMessage(json='{"a":1}'), {"a": 1}),
        (dict[str, int], pb.QueueMessage(text='{"a":1}'), {"a": 1}),
        (list[int], pb.QueueMessage(json="[1]"), [1]),
        (Point, pb.QueueMessage(json='{"x":1}'), Point(1)),
        (Any, pb.QueueMessage(data=b""), b""),
        (object, pb.QueueMessage(), b""),
    ],
)
def test_a_handler_gets_the_body_as_it_wants_it(wanted: Any, message: pb.QueueMessage, body: object) -> None:
    assert decoder(wanted)(message) == body


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (str, pb.QueueMessage(data=b"a")),
        (str, pb.QueueMessage()),
        (PlainEmail, pb.QueueMessage(text="a")),
        (PlainEmail, pb.QueueMessage(typed=pb.TypedBody(type_name="other.v1.Thing", value=TYPED.value))),
        (PlainEmail, pb.QueueMessage(data=b"\xff\xff")),
        (dict, pb.QueueMessage(json="[1]")),
        (dict, pb.QueueMessage(text="{")),
        (list, pb.QueueMessage(data=b"\xff")),
        (Point, pb.QueueMessage(json='{"z":1}')),
        (Point, pb.QueueMessage(json="[]")),
    ],
)
def test_a_body_that_is_no_such_thing_is_said_to_be_none(wanted: Any, message: pb.QueueMessage) -> None:
    with pytest.raises(BodyError):
        decoder(wanted)(message)


def test_a_handler_cannot_want_what_no_body_is() -> None:
    with pytest.raises(BodyError, match="complex"):
        decoder(complex)
