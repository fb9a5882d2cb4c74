"""Messages of the simulation: each carries its sender's name for it, and nothing here knows more of their contents."""

from typing import Any

from baton.queue.v1 import message_pb2
from queue_service.message import Message, NewMessage

_KEY = "key"


def new_message(key: str, **fields: Any) -> NewMessage:
    content = message_pb2.QueueMessage(text=key, attributes={_KEY: key}).SerializeToString()
    digest = key.encode() if fields.get("deduplication_id") else b""
    return NewMessage(content, size=2 * len(key) + len(_KEY), digest=digest, **fields)


def key_of(message: Message) -> str:
    return message_pb2.QueueMessage.FromString(message.content).attributes[_KEY]


def key_on_the_wire(leased: message_pb2.LeasedMessage) -> str:
    return leased.message.attributes[_KEY]
