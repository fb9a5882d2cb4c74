"""Messages of the simulation: each carries its sender's name for it, and nothing here knows more of their contents."""

from typing import Any

from baton.queue.v1 import message_pb2
from queue_service.message import Body, BodyKind, Message, NewMessage

_KEY = "key"


def new_message(key: str, **fields: Any) -> NewMessage:
    return NewMessage(body=Body(BodyKind.TEXT, key.encode()), attributes={_KEY: key}, **fields)


def key_of(message: Message) -> str:
    return message.attributes[_KEY]


def key_on_the_wire(leased: message_pb2.LeasedMessage) -> str:
    return leased.message.attributes[_KEY]
