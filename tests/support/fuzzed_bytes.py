"""Hypothesis strategies for the bytes of a request: random, well-formed, and well-formed once."""

import re
from collections.abc import Sequence
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from hypothesis import settings
from hypothesis import strategies as st

from tests.support.any_message import any_message

# The profile in use says how much: three times the usual examples means three times these.
USUAL_EXAMPLES = 100
# Larger messages are no better for planting a fault in, and take longer.
LARGEST_SAMPLE = 4_000
# What no answer may tell: our own code, the libraries', the database's, the machine's.
_TOLD = re.compile(
    r"Traceback|\b[A-Z][A-Za-z]+(?:Error|Exception)\b|\.py\b|site-packages|sqlalchemy|psycopg|sqlite3?\b|asyncio"
    r"|\bSELECT\b|\bINSERT\b|\bUPDATE\b .*\bSET\b|0x[0-9a-f]{6}|/usr/|/home/|/tmp/|\.venv|object at"
)

_VARINT, _FIXED64, _BYTES, _GROUP, _END_GROUP, _FIXED32, _WIRE_6, _WIRE_7 = range(8)
_HUGE_VARINTS = (
    b"\xff" * 9 + b"\x01",
    b"\xff" * 9 + b"\x7f",
    b"\xff" * 10 + b"\x01",
    b"\x80" * 20,
    b"\x80" * 9 + b"\x00",
)
_DEPTHS = (1, 60, 99, 100, 101, 5_000, 100_000)


def examples(usual: int) -> int:
    """How many examples to try where ``usual`` are right for every day."""
    profile = settings.default
    return max(1, usual * profile.max_examples // USUAL_EXAMPLES) if profile is not None else usual


def leaks(text: str) -> bool:
    """Whether a text says what is nobody's business."""
    return _TOLD.search(text) is not None


def fuzzed(descriptor: Descriptor, samples: Sequence[Message], names: Sequence[str]) -> st.SearchStrategy[bytes]:
    """Bytes for a method that takes that message.

    Args:
        descriptor: the message's type.
        samples: messages of the type to plant faults in, beside those that are made up.
        names: names of what is there, for fields that name something.
    """
    made_up = any_message(descriptor).flatmap(lambda message: _addressed(message, names))
    small = [sample for sample in samples if sample.ByteSize() <= LARGEST_SAMPLE]
    messages = made_up | st.sampled_from(small) if small else made_up
    serialised = messages.map(lambda message: message.SerializeToString())
    planted = st.tuples(serialised, _faults(descriptor)).map(lambda pair: pair[1](pair[0]))
    return serialised | planted | planted | st.binary(max_size=200)


@st.composite
def _addressed(draw: st.DrawFn, message: Message, names: Sequence[str]) -> Message:
    """The message, most often about something that is there."""
    for field in message.DESCRIPTOR.fields:
        if field.name in {"queue", "name"} and field.type == FieldDescriptor.TYPE_STRING and draw(st.integers(0, 3)):
            setattr(message, field.name, draw(st.sampled_from(names)))
    return message


def _faults(descriptor: Descriptor) -> st.SearchStrategy[Any]:
    numbers = [field.number for field in descriptor.fields] or [1]
    wrong_type = st.builds(_field, st.sampled_from(numbers), st.sampled_from(range(8)), st.binary(max_size=12))
    unknown = st.builds(_field, st.integers(100, 2**29 - 1), st.sampled_from(range(8)), st.binary(max_size=12))
    huge = st.builds(
        lambda number, varint: _tag(number, _VARINT) + varint, st.sampled_from(numbers), st.sampled_from(_HUGE_VARINTS)
    )
    long = st.builds(
        lambda number, varint: _tag(number, _BYTES) + varint, st.sampled_from(numbers), st.sampled_from(_HUGE_VARINTS)
    )
    piece = wrong_type | unknown | huge | long | st.builds(_groups, st.sampled_from(_DEPTHS), st.booleans())
    return st.one_of(
        st.floats(0, 1).map(lambda share: lambda raw: raw[: int(len(raw) * share)]),
        st.lists(st.integers(0, 10**6), min_size=1, max_size=4).map(_flipping),
        st.integers(2, 5).map(lambda times: lambda raw: raw * times),
        piece.map(lambda more: lambda raw: raw + more),
        st.tuples(piece, st.floats(0, 1)).map(_inserting),
        st.sampled_from(numbers).map(lambda number: lambda raw: _nested(number, raw)),
    )


def _flipping(bits: list[int]) -> Any:
    def flip(raw: bytes) -> bytes:
        changed = bytearray(raw)
        for bit in bits if raw else ():
            changed[bit // 8 % len(raw)] ^= 1 << bit % 8
        return bytes(changed)

    return flip


def _inserting(pair: tuple[bytes, float]) -> Any:
    piece, share = pair
    return lambda raw: raw[: int(len(raw) * share)] + piece + raw[int(len(raw) * share) :]


def _nested(number: int, raw: bytes) -> bytes:
    for _ in range(120):
        raw = _tag(number, _BYTES) + _varint(len(raw)) + raw
    return raw


def _field(number: int, wire_type: int, content: bytes) -> bytes:
    return _tag(number, wire_type) + (_varint(len(content)) if wire_type == _BYTES else b"") + content


def _groups(depth: int, closed: bool) -> bytes:
    return _tag(1, _GROUP) * depth + (_tag(1, _END_GROUP) * depth if closed else b"")


def _tag(number: int, wire_type: int) -> bytes:
    return _varint(number << 3 | wire_type)


def _varint(value: int) -> bytes:
    raw = bytearray()
    while value > 0x7F:
        raw.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*raw, value))
