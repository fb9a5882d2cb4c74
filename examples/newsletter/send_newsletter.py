"""Send one issue of a newsletter to every reader, and say who has it and who has not.

    python examples/newsletter/send_newsletter.py examples/newsletter/issue.toml

A queue pushed to ``EmailService/SendEmail`` does the sending: there is no other consumer, and the email service knows
nothing of issues and readers. Run twice, it mails nobody twice.
"""

import argparse
import asyncio
import csv
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import grpc
from google.protobuf.duration_pb2 import Duration

from baton.email.v1 import email_pb2, email_service_pb2
from baton.queue.v1 import message_pb2, queue_pb2, queue_service_pb2
from baton_client import BatonClientError, Client, Message

QUEUE, DEAD, REPORTS = "newsletter", "newsletter-dead", "newsletter-reports"
METHOD = "baton.email.v1.EmailService/SendEmail"
RECORD = "known.csv"

#: Seconds between two looks at the queues, and the looks without work in sight after which no word will come.
INTERVAL, LAST_LOOKS = 0.5, 6


@dataclass(frozen=True)
class Reader:
    """A line of the readers' file."""

    email: str
    first_name: str
    token: str


@dataclass(frozen=True)
class Issue:
    """What is sent, and to whom."""

    name: str
    headline: str
    body: str
    unsubscribe: str
    readers: Sequence[Reader]

    @property
    def requests(self) -> dict[str, email_service_pb2.SendEmailRequest]:
        """An email for each reader, by its idempotency key; a reader who is there twice has one."""
        return {request.email.idempotency_key: request for request in map(self._request, self.readers)}

    def _request(self, reader: Reader) -> email_service_pb2.SendEmailRequest:
        newsletter = email_pb2.Newsletter(
            first_name=reader.first_name,
            headline=self.headline,
            body=self.body,
            unsubscribe_url=self.unsubscribe.format(token=reader.token),
        )
        email = email_pb2.Email(
            idempotency_key=sha256(f"{self.name}\n{reader.email.casefold()}".encode()).hexdigest(),
            to=reader.email,
            newsletter=newsletter,
            report_queue=REPORTS,
            correlation_id=self.name,
        )
        return email_service_pb2.SendEmailRequest(email=email)


class Record:
    """Who has which issue, and why others have not: in a file before the message that says so is acked.

    One file for all issues, because their reports come by one queue.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._whys: dict[str, str] = {}
        if path.exists():
            with path.open(encoding="utf-8", newline="") as file:
                self._whys = dict(csv.reader(file))

    def has(self, key: str) -> bool:
        """Whether the mail server took the email."""
        return self._whys.get(key) == ""

    def why(self, key: str) -> str | None:
        """Why it did not; None when there is no word."""
        return self._whys.get(key)

    def knows(self, keys: Mapping[str, object]) -> bool:
        """Whether there is word of all of these."""
        return keys.keys() <= self._whys.keys()

    def forget_failures(self) -> None:
        """Those who have it not are tried once more."""
        self._whys = {key: why for key, why in self._whys.items() if not why}

    def note(self, key: str, why: str = "") -> None:
        """Word of an email has come; nothing is said against one that was sent."""
        if self.has(key):
            return
        self._whys[key] = why
        with self._path.open("a", encoding="utf-8", newline="") as file:
            csv.writer(file).writerow((key, why))


def read_issue(path: Path) -> Issue:
    """The issue in a file, with its readers."""
    fields = tomllib.loads(path.read_text(encoding="utf-8"))
    with (path.parent / fields["readers"]).open(encoding="utf-8", newline="") as file:
        readers = [Reader(**row) for row in csv.DictReader(file)]
    return Issue(**{**fields, "body": fields["body"].strip("\n"), "readers": readers})


async def declare(client: Client, email: str) -> None:
    """Make the queues, or make them what they should be; the dead letter queue comes with the queue that names it."""
    consumer = queue_pb2.ConsumerSettings(
        push=queue_pb2.PushTarget(address=email, method=queue_pb2.MethodCall(method=METHOD)),
        visibility_timeout=Duration(seconds=60),
        max_messages_per_second=20,
        retry_policy=queue_pb2.RetryPolicy(
            max_retries=20, initial_delay=Duration(seconds=5), max_delay=Duration(seconds=600)
        ),
        dead_letter_queue=DEAD,
    )
    for queue in (queue_pb2.Queue(name=REPORTS), queue_pb2.Queue(name=QUEUE, consumer=consumer)):
        await client.queues.UpdateQueue(
            queue_service_pb2.UpdateQueueRequest(queue=queue, allow_missing=True), timeout=10, wait_for_ready=True
        )


def listen(client: Client, record: Record) -> None:
    """Take down what the reports and the dead letters say."""

    @client.consumer(REPORTS)
    async def reported(message: Message[email_pb2.EmailReport]) -> None:
        # One that failed for good is a dead letter as well, which also knows why.
        if message.body.state == email_pb2.Email.STATE_SENT:
            record.note(message.body.idempotency_key)

    @client.consumer(DEAD)
    async def given_up(message: Message[email_service_pb2.SendEmailRequest]) -> None:
        record.note(message.body.email.idempotency_key, why_of(message.dead_letter))


def why_of(dead_letter: message_pb2.DeadLetter | None) -> str:
    """What the last attempt at a message failed with."""
    if dead_letter is None or not dead_letter.failures:
        return "it waited for too long"
    failure = dead_letter.failures[0]
    return f"{failure.code}: {failure.description} (attempts: {dead_letter.attempts})"


async def send(client: Client, requests: Mapping[str, email_service_pb2.SendEmailRequest], record: Record) -> None:
    """Hand over an email for everybody who has none yet; on return they are on the broker's disk."""
    producer = client.producer(QUEUE)
    await asyncio.gather(*(producer.send(request) for key, request in requests.items() if not record.has(key)))


async def word_of_all(client: Client, keys: Mapping[str, object], record: Record) -> None:
    """Wait until there is word of everybody, or nothing is left that could bring it."""
    looks = 0
    while looks < LAST_LOOKS and not record.knows(keys):
        await asyncio.sleep(INTERVAL)
        looks = 0 if await any_left(client) else looks + 1


async def any_left(client: Client) -> bool:
    """Whether a message waits or is being worked on; when the broker is away, nobody can say that none is."""
    for queue in (QUEUE, DEAD, REPORTS):
        request = queue_service_pb2.PeekMessagesRequest(name=queue, page_size=1, without_bodies=True)
        try:
            page = await client.queues.PeekMessages(request, timeout=10, wait_for_ready=True)
        except grpc.aio.AioRpcError as error:
            if error.code() not in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}:
                raise
            return True
        if page.messages:
            return True
    return False


def lines(requests: Mapping[str, email_service_pb2.SendEmailRequest], record: Record) -> Iterator[str]:
    """What became of each email, and of all of them."""
    for key, request in requests.items():
        why = record.why(key)
        if why == "":
            yield f"has it   {request.email.to}"
        elif why is None:
            yield f"no word  {request.email.to}  an earlier run had the answer, and its record is gone"
        else:
            yield f"has not  {request.email.to}  {why}"
    yield f"{sum(map(record.has, requests))} of {len(requests)} have it"


async def run(arguments: argparse.Namespace) -> int:
    """Send, listen, and say how it went; the exit code."""
    issue, record = read_issue(arguments.issue), Record(arguments.issue.with_name(RECORD))
    requests = issue.requests
    record.forget_failures()
    stop = asyncio.Event()
    async with Client(arguments.broker) as client:
        await declare(client, arguments.email)
        listen(client, record)
        listening = asyncio.create_task(client.consume(stop))
        try:
            await send(client, requests, record)
            await word_of_all(client, requests, record)
        finally:
            stop.set()
            await listening
    print(*lines(requests, record), sep="\n")
    return 0 if all(map(record.has, requests)) else 1


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description="Send one issue of a newsletter to every reader.")
    parser.add_argument("issue", type=Path, help="the issue, a TOML file")
    parser.add_argument("--broker", default="127.0.0.1:50052", help="where this program reaches the broker")
    parser.add_argument("--email", default="unix:.baton/email.sock", help="where the broker reaches the email service")
    return parser


def main() -> None:
    """Run it as a program."""
    try:
        raise SystemExit(asyncio.run(run(parser().parse_args())))
    except KeyboardInterrupt:
        raise SystemExit(
            "interrupted: what was handed over goes out all the same; run it again to learn the rest"
        ) from None
    except (BatonClientError, grpc.aio.AioRpcError) as error:
        said = error.details() if isinstance(error, grpc.aio.AioRpcError) else error
        raise SystemExit(f"the broker said no: {said}; run it again once that is mended") from error


if __name__ == "__main__":
    main()
