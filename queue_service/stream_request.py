"""What a consumer says on its stream, checked by the same field rules as what comes in a call of its own."""

from baton.queue.v1 import consumer_service_pb2 as pb
from mesh.errors import InvalidArgument, Violation
from mesh.field_rules import FieldRules


def checked_opening(request: pb.StreamMessagesRequest | None, rules: FieldRules) -> pb.StreamMessagesRequest.Open:
    """What a stream begins with; raises InvalidArgument when it is not a sound Open."""
    if request is None or request.WhichOneof("request") != "open":
        raise InvalidArgument([Violation("open", "comes first, and once")])
    check_inner(request, rules)
    return request.open


def check_inner(request: pb.StreamMessagesRequest, rules: FieldRules) -> None:
    """Raise InvalidArgument when what a request carries breaks field rules: that request alone is refused."""
    kind = request.WhichOneof("request")
    if kind is not None and (violations := rules.check(getattr(request, kind), request.ByteSize())):
        raise InvalidArgument([Violation(f"{kind}.{found.field}", found.description) for found in violations])
