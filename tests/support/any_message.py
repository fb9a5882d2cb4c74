"""Hypothesis strategies for protobuf messages: any value that a field of a message can carry on the wire."""

from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

# Deeper messages are left empty.
DEPTH = 4

_INT32 = st.integers(-(2**31), 2**31 - 1)
_INT64 = st.integers(-(2**63), 2**63 - 1)
_SCALARS: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.CPPTYPE_BOOL: st.booleans(),
    FieldDescriptor.CPPTYPE_DOUBLE: st.floats(),
    FieldDescriptor.CPPTYPE_FLOAT: st.floats(width=32),
    FieldDescriptor.CPPTYPE_ENUM: st.integers(-1, 6) | _INT32,
    FieldDescriptor.CPPTYPE_INT32: st.integers(-2, 2) | _INT32,
    FieldDescriptor.CPPTYPE_INT64: st.integers(-2, 2) | _INT64,
    FieldDescriptor.CPPTYPE_UINT32: st.integers(0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: st.integers(0, 2**64 - 1),
}
_STRINGS = (
    st.text(max_size=40)
    | st.sampled_from(["ada@example.org", "a@[127.0.0.1]", '"a b"@example.org', "[]" * 20, "[" * 5_000, "NaN", "1e999"])
    | st.text(alphabet='@."[]:(),\\ a-zü\u0130\u3002\u200d', max_size=40)
)


@st.composite
def any_message(draw: st.DrawFn, descriptor: Descriptor, depth: int = DEPTH) -> Message:
    """A message of the type, with some of its fields set to anything."""
    message = GetMessageClass(descriptor)()
    if depth == 0:
        return message
    by_name = descriptor.fields_by_name
    for name in draw(st.lists(st.sampled_from(sorted(by_name)), max_size=6, unique=True)) if by_name else ():
        _set(draw, message, by_name[name], depth)
    return message


def _set(draw: st.DrawFn, message: Message, field: FieldDescriptor, depth: int) -> None:
    target = field.message_type
    if target is not None and target.GetOptions().map_entry:
        getattr(message, field.name).update(draw(st.dictionaries(_STRINGS, _STRINGS, max_size=3)))
    elif target is not None and field.is_repeated:
        getattr(message, field.name).extend(draw(st.lists(any_message(target, depth - 1), max_size=3)))
    elif target is not None:
        getattr(message, field.name).CopyFrom(draw(any_message(target, depth - 1)))
    elif field.is_repeated:
        getattr(message, field.name).extend(draw(st.lists(_value(field), max_size=3)))
    else:
        setattr(message, field.name, draw(_value(field)))


def _value(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.type == FieldDescriptor.TYPE_BYTES:
        return st.binary(max_size=40)
    if field.type == FieldDescriptor.TYPE_STRING:
        return _STRINGS
    return _SCALARS[field.cpp_type]
