"""From producers and consumers at Cloudflare to queues here, every setting written or accounted for."""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mesh.field_checks import shown
from queue_service.wrangler.config_file import Entry, QueueSection
from queue_service.wrangler.findings import Findings
from queue_service.wrangler.queue_draft import Line, QueueDraft
from queue_service.wrangler.queue_names import QueueNames
from queue_service.wrangler.setting_bounds import CONSUMER, PRODUCER, milliseconds_text, read_numbers, seconds_text

PRODUCER_KEYS = frozenset({"queue", "binding", "remote", *PRODUCER})
CONSUMER_KEYS = frozenset({"queue", "type", "dead_letter_queue", *CONSUMER})
# Ours cuts a wait at 10 minutes unless told otherwise; Cloudflare's retry_delay may be a day.
_DEFAULT_MAX_DELAY = 600
_PULLED = (
    "A Worker was called with these messages; here they are pulled. To have a service called, add to the consumer:",
    'push = { address = "HOST:PORT", batch = {} }',
)


class Translation:
    """The queues of some files.

    Args:
        push_address: where the batches of what a Worker consumed are pushed; empty: such queues are pulled.
        findings: takes what there is to say.
    """

    def __init__(self, push_address: str, findings: Findings) -> None:
        self._push_address, self._findings = push_address, findings
        self._names = QueueNames(findings)
        self._drafts: dict[str, QueueDraft] = {}

    def translate(self, sections: Iterable[QueueSection]) -> list[QueueDraft]:
        """Every queue that the files name, in the order in which they name them."""
        for section in sections:
            for producer in section.producers:
                self._add_producer(producer)
            for consumer in section.consumers:
                self._add_consumer(consumer)
        for draft in self._drafts.values():
            if not draft.consumer_key:
                draft.remarks.append("No consumer in what was read: pulled, with every default.")
        return list(self._drafts.values())

    def _draft(self, entry: Entry, setting: str) -> QueueDraft | None:
        original = entry.settings.get(setting)
        name = self._names.write(original, f"{entry.key}.{setting}")
        return self._drafts.setdefault(name, QueueDraft(name, str(original))) if name else None

    def _add_producer(self, entry: Entry) -> None:
        self._note_unknown(entry, PRODUCER_KEYS)
        draft = self._draft(entry, "queue")
        delay = read_numbers(entry, PRODUCER, self._findings).get("delivery_delay")
        if entry.settings.get("remote") is not None:
            said = "is not supported and left out: it joins a local Worker to a queue at Cloudflare"
            self._findings.note(f"{entry.key}.remote", f"{said} (it is {shown(entry.settings['remote'])})")
        if draft is None:
            return
        if (binding := entry.settings.get("binding")) is not None:
            draft.bindings.append(shown(binding))
        if delay is not None:
            self._set_delivery_delay(draft, seconds_text(delay), f"{entry.key}.delivery_delay")

    def _set_delivery_delay(self, draft: QueueDraft, delay: str, key: str) -> None:
        if draft.delivery_delay not in ("", delay):
            said = f"is {delay}, but {draft.delivery_delay} in another producer of {shown(draft.original)}"
            self._findings.problem(key, f"{said}; a queue has one")
            return
        draft.delivery_delay = delay
        self._findings.note(key, f"has long had no effect at Cloudflare; here every message waits {delay}")

    def _add_consumer(self, entry: Entry) -> None:
        self._note_unknown(entry, CONSUMER_KEYS)
        draft = self._draft(entry, "queue")
        numbers = read_numbers(entry, CONSUMER, self._findings)
        kind = self._kind(entry)
        dead = self._dead_letter_queue(entry)
        if draft is None:
            return
        if draft.consumer_key:
            said = f"{shown(draft.original)} has a consumer already, {draft.consumer_key}; a queue has one"
            self._findings.problem(f"{entry.key}.queue", said)
            return
        draft.consumer_key = entry.key
        pushed = kind == "worker" and bool(self._push_address)
        draft.consumer += self._lines(numbers, dead, kind, pushed)
        if kind == "worker" and not pushed:
            draft.remarks += _PULLED

    def _kind(self, entry: Entry) -> str:
        kind = entry.settings.get("type", "worker")
        if not isinstance(kind, str):
            self._findings.problem(f"{entry.key}.type", f"must be a string, is {shown(kind)}")
        elif kind not in ("worker", "http_pull"):
            self._findings.note(f"{entry.key}.type", f"{shown(kind)} is not supported; the queue is pulled")
        if kind != "http_pull" and "visibility_timeout_ms" in entry.settings:
            said = f"is for http_pull alone and left out (it is {shown(entry.settings['visibility_timeout_ms'])})"
            self._findings.note(f"{entry.key}.visibility_timeout_ms", said)
        return str(kind)

    def _dead_letter_queue(self, entry: Entry) -> str:
        if "dead_letter_queue" not in entry.settings:
            return ""
        if entry.settings["dead_letter_queue"] == entry.settings.get("queue"):
            said = f"{shown(entry.settings['queue'])} is the queue itself; dead letters must come to rest elsewhere"
            self._findings.problem(f"{entry.key}.dead_letter_queue", said)
            return ""
        draft = self._draft(entry, "dead_letter_queue")
        return draft.name if draft is not None else ""

    def _lines(self, numbers: Mapping[str, Any], dead: str, kind: str, pushed: bool) -> Iterator[Line]:
        if "max_batch_size" in numbers:
            yield Line("max_batch_size", numbers["max_batch_size"])
        elif kind == "http_pull":
            yield Line("max_batch_size", 5, "Cloudflare's default for a pull")
        if "max_batch_timeout" in numbers:
            yield Line("max_batch_timeout", seconds_text(numbers["max_batch_timeout"]))
        if pushed:
            yield Line("visibility_timeout", "15m", "as long as a Worker may take")
        elif kind == "http_pull" and "visibility_timeout_ms" in numbers:
            yield _visibility_timeout(numbers["visibility_timeout_ms"])
        yield Line("retry_policy", dict(_retry_policy(numbers)))
        if dead:
            yield Line("dead_letter_queue", dead)
        if "max_concurrency" in numbers:
            yield Line("max_concurrency", numbers["max_concurrency"])
        elif pushed:
            yield Line("max_concurrency", 250, "Cloudflare's most, where none is set")
        if pushed:
            yield Line("push", {"address": self._push_address, "batch": {}})

    def _note_unknown(self, entry: Entry, known: frozenset[str]) -> None:
        for name in sorted(entry.settings.keys() - known):
            nearest = difflib.get_close_matches(name, known, n=1)
            said = f"is not known at Cloudflare and left out (it is {shown(entry.settings[name])})"
            self._findings.note(f"{entry.key}.{name}", said + (f"; did you mean {nearest[0]}?" if nearest else ""))


def _visibility_timeout(milliseconds: float) -> Line:
    if milliseconds < 1_000:
        return Line("visibility_timeout", "1s", f"the least there is; it was {milliseconds} ms")
    return Line("visibility_timeout", milliseconds_text(milliseconds))


def _retry_policy(numbers: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """As Cloudflare retries: always after the same time, which is none unless it is set."""
    delay = numbers.get("retry_delay", 0)
    yield "max_retries", numbers.get("max_retries", 3)
    yield "initial_delay", seconds_text(delay)
    yield "multiplier", 1.0
    if delay > _DEFAULT_MAX_DELAY:
        yield "max_delay", seconds_text(delay)
    yield "jitter", 0.0
