"""What a peek shows, its filters and its page tokens, between protobuf and domain."""

import re
from collections.abc import Iterable, Sequence

from baton.queue.v1 import queue_service_pb2 as pb
from mesh import page_token
from mesh.errors import InvalidArgument, Violation
from mesh.wire_time import instant_to
from queue_service.message_encoding import encode_failure, encode_message
from queue_service.storage.selection import position
from queue_service.storage.views import Filter, Peeked, Place, Position

_BODIES = ("text", "json", "data", "typed")
# A rank, an instant that fits a database's integer, and a message id.
_POSITION = re.compile(r"([0-2]):([0-9]{1,18}):([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")


def encode_peeked(peeked: Peeked, *, without_body: bool = False) -> pb.PeekedMessage:
    """A message as it lies in its queue."""
    state = peeked.state
    encoded = pb.PeekedMessage(
        message=encode_message(peeked.message),
        state=pb.PeekedMessage.State.ValueType(int(peeked.place)),
        attempt=state.failed + 1,
        delivery_count=state.deliveries,
        failures=[encode_failure(failure) for failure in state.failures],
    )
    if without_body:
        for name in _BODIES:
            encoded.message.ClearField(name)  # type: ignore[arg-type]  # each of them is a field
    due = encoded.lease_expire_time if peeked.place is Place.LEASED else encoded.ready_time
    if not state.blocked:
        due.CopyFrom(instant_to(state.due_at))
    return encoded


def decode_filter(states: Sequence[int], codes: Iterable[str]) -> Filter:
    """The messages that a peek asks for; raises InvalidArgument for a state that no message is in."""
    nowhere = [index for index, state in enumerate(states) if state == pb.PeekedMessage.STATE_UNSPECIFIED]
    if nowhere:
        said = "no message is in STATE_UNSPECIFIED; leave the states out for all"
        raise InvalidArgument([Violation(f"states[{index}]", said) for index in nowhere])
    return Filter(places=frozenset(Place(state) for state in states), codes=frozenset(codes))


def encode_position(last: Peeked, queue: str) -> str:
    """The token of the page of a queue after a message."""
    at = position(last.state)
    return page_token.encode(f"{at.rank}:{at.due_at}:{at.message_id}", _scope(queue))


def decode_position(token: str, queue: str) -> Position | None:
    """The position in a token; None for the first page. Raises InvalidArgument for a token of anything else."""
    if not token:
        return None
    text = page_token.decode(token, _scope(queue))
    if (found := _POSITION.fullmatch(text)) is None:  # the digest keeps mistakes apart, not who makes one that fits
        raise InvalidArgument(
            [Violation("page_token", f"is not a token of an earlier page of this list: {token[:64]!r}")]
        )
    return Position(int(found[1]), int(found[2]), found[3])


def _scope(queue: str) -> str:
    return f"messages of {queue}"
