"""Baton's client for Python: consumers as decorated functions, producers that gather, leases looked after.

client = Client("127.0.0.1:50052")

@client.consumer("jobs")
async def wash(message: Message[str]) -> None:
    ...

client.run()
"""

from baton_client.blocking import BlockingClient, BlockingMessage
from baton_client.client import Client
from baton_client.errors import BatonClientError, BodyError, CallError, Closed, Violation
from baton_client.lease_outcome import LeaseOutcome
from baton_client.message import Batch, Message
from baton_client.new_message import NewMessage
from baton_client.outcome import Ack, Outcome, Reject, Release, Retry
from baton_client.producer import Producer, SendResult

__all__ = [
    "Ack",
    "Batch",
    "BatonClientError",
    "BlockingClient",
    "BlockingMessage",
    "BodyError",
    "CallError",
    "Client",
    "Closed",
    "LeaseOutcome",
    "Message",
    "NewMessage",
    "Outcome",
    "Producer",
    "Reject",
    "Release",
    "Retry",
    "SendResult",
    "Violation",
]
