"""Watches the mail server's log, the queue and the services' logs, and says what it sees, while the chapters go on."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from examples.demo.broker import Broker, Waiting
from examples.demo.cast import Cast
from examples.demo.voice import Voice
from stage.mail_log import MailEvent, MailServer

_INTERVAL = 0.05


class Narrator:
    """Says each thing once.

    Args:
        log: the services' lines, as they come; empty for services that others started.
    """

    def __init__(self, voice: Voice, cast: Cast, mail: MailServer, broker: Broker, log: Sequence[str]) -> None:
        self._voice, self._cast, self._mail, self._broker, self._log = voice, cast, mail, broker, log
        self._events = self._lines = 0
        self._handed_over: set[tuple[str, int]] = set()
        self._put_off: set[tuple[str, int]] = set()
        self._owners: dict[str, str] = {}
        self.delays: dict[tuple[str, int], float] = {}
        """By address and attempt, what the broker waits before it."""

    @asynccontextmanager
    async def speaking(self) -> AsyncIterator[None]:
        """Speak meanwhile."""
        task = asyncio.create_task(self._speak())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            self.catch_up()

    def catch_up(self) -> None:
        """Say what the logs hold and was not said yet."""
        events = self._mail.events()
        for event in events[self._events :]:
            self._tell(event)
        self._events = len(events)
        while self._lines < len(self._log):
            self._tell_line(self._log[self._lines])
            self._lines += 1

    async def _speak(self) -> None:
        while True:
            waiting = await self._broker.confirmations()
            self._owners |= {each.message_id: self._cast.name(each.to) for each in waiting}
            self._tell_batches(waiting)
            self.catch_up()
            self._tell_delays(waiting)
            await asyncio.sleep(_INTERVAL)

    def _tell_batches(self, waiting: Sequence[Waiting]) -> None:
        batches = defaultdict(list)
        for each in waiting:
            if each.leased and (each.message_id, each.delivery) not in self._handed_over:
                self._handed_over.add((each.message_id, each.delivery))
                batches[each.lease_end].append(self._cast.name(each.to))
        for names in batches.values():
            self._voice.happens("broker", f"hands over a batch of {len(names)}: {', '.join(names)}")

    def _tell_delays(self, waiting: Sequence[Waiting]) -> None:
        for each in waiting:
            if each.leased or not each.code or (each.message_id, each.attempt) in self._put_off:
                continue
            self._put_off.add((each.message_id, each.attempt))
            self.delays[each.to, each.attempt] = each.delay
            name = self._cast.name(each.to)
            self._voice.happens(
                "broker", f"{name} failed with {each.code}: attempt {each.attempt} in {each.delay:.1f} s"
            )

    def _tell(self, event: MailEvent) -> None:
        name = self._cast.name(event.recipient)
        match event.what:
            case "taken":
                self._voice.happens("mail server", f"250, took the mail to {name}")
            case "refused":
                self._voice.happens("mail server", f"{event.reply} ({name}, try {event.attempt})")
            case "cut":
                self._voice.happens("mail server", f"the client hung up in the middle of the mail to {name}")

    def _tell_line(self, line: str) -> None:
        if '"message_dead_lettered"' not in line:
            return
        record = json.loads(line)
        owner = self._owners.get(record["message_id"], record["message_id"])
        queue, reason = record["dead_letter_queue"], record["reason"]
        self._voice.happens("broker", f"{reason.lower()}: {owner}'s message moves to {queue}")
