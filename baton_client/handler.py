"""What a decorated function takes, read off its annotation: a message, a batch, or just the body."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, get_args, get_origin, get_type_hints

from baton.queue.v1 import message_pb2 as pb
from baton_client.body import decoder, raw_body
from baton_client.message import Batch, Message

Function = Callable[[Any], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Handler:
    """A consumer's function, with what stands between it and the wire.

    Attributes:
        function: the function.
        batched: whether it takes batches.
        bare: whether it takes the body alone.
        decode: the body of a message, as it wants it; raises BodyError.
    """

    function: Function
    batched: bool
    bare: bool
    decode: Callable[[pb.QueueMessage], Any]

    async def __call__(self, work: "Message[Any] | Batch[Any]") -> None:
        """Let the function work."""
        await self.function(work.body if self.bare and isinstance(work, Message) else work)


def handler_of(function: Function, decode: Callable[[bytes], Any] | None = None) -> Handler:
    """A function as a handler.

    Its parameter's annotation decides: ``Message[T]``, ``Batch[T]``, or ``T`` for the body alone; ``T`` is what the
    body is decoded to. Without an annotation it gets a message with the body as it is by itself.

    Args:
        function: ``async def``, with one parameter.
        decode: from a body's bytes to the value, in place of what ``T`` would mean.

    Raises:
        TypeError: it is not such a function.
        BodyError: no body can be a ``T``.
    """
    parameters = [each for each in inspect.signature(function).parameters.values() if each.default is each.empty]
    positional = all(each.kind is not each.KEYWORD_ONLY for each in parameters)
    if not asyncio.iscoroutinefunction(function) or len(parameters) != 1 or not positional:
        name = getattr(function, "__name__", repr(function))
        raise TypeError(f"{name} must be an async def with one parameter: a message, a batch, or a body")
    hint = get_type_hints(function).get(parameters[0].name, Message)
    kind = get_origin(hint) or hint
    wrapped = kind in {Message, Batch}
    wanted = next(iter(get_args(hint)), object) if wrapped else hint
    made = decoder(wanted) if decode is None else _by_bytes(decode)
    return Handler(function, batched=kind is Batch, bare=not wrapped, decode=made)


def _by_bytes(decode: Callable[[bytes], Any]) -> Callable[[pb.QueueMessage], Any]:
    return lambda message: decode(raw_body(message))
