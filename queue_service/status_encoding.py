"""Errors as the contract's own Status, for where they travel inside an answer."""

from baton.queue.v1 import message_pb2 as pb
from mesh.errors import BatonError
from mesh.status import to_status

DOMAIN = "queue.baton"


def encode_status(error: BatonError) -> pb.Status:
    """What a refused call would have ended with: the same on the wire as google.rpc.Status."""
    return pb.Status.FromString(to_status(error, DOMAIN).SerializeToString())
