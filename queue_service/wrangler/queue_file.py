"""Drafts as the text of a file of declared queues."""

from collections.abc import Iterable, Sequence
from typing import Any

import tomlkit
from tomlkit.items import InlineTable, Item, Table

from mesh.field_checks import shown
from queue_service.wrangler.queue_draft import Line, QueueDraft

_ABOUT = (
    "Field names, bounds and defaults are those of baton.queue.v1.Queue. What was set for a queue by wrangler's",
    "commands or in the dashboard is not in its file: message_retention (4 days here as there) and delivery_delay.",
)


def queue_file(drafts: Iterable[QueueDraft], sources: Sequence[str], environment: str) -> str:
    """The text, with a comment wherever a reader would otherwise have to look something up."""
    document = tomlkit.document()
    origin = ", ".join(map(shown, sources)) + (f", environment {shown(environment)}" if environment else "")
    for comment in (f"The queues of {origin}, as import-wrangler wrote them.", *_ABOUT):
        document.add(tomlkit.comment(comment))
    document.add(tomlkit.nl())
    queues = tomlkit.aot()
    for draft in drafts:
        queues.append(_queue(draft))
    document.add("queues", queues)
    return tomlkit.dumps(document).rstrip() + "\n"


def _queue(draft: QueueDraft) -> Table:
    table = tomlkit.table()
    if draft.name != draft.original:
        table.add(tomlkit.comment(f"At Cloudflare: {shown(draft.original)}."))
    if draft.bindings:
        table.add(tomlkit.comment(f"Producers' bindings: {', '.join(draft.bindings)}."))
    for remark in draft.remarks:
        table.add(tomlkit.comment(remark))
    table.add("name", draft.name)
    if draft.delivery_delay:
        table.add("delivery_delay", draft.delivery_delay)
    if draft.consumer:
        table.add(tomlkit.nl())
        table.add("consumer", _consumer(draft.consumer))
    return table


def _consumer(lines: Iterable[Line]) -> Table:
    table = tomlkit.table()
    for line in lines:
        value = _item(line.value)
        table.add(line.key, value.comment(line.remark) if line.remark else value)
    return table


def _item(value: Any) -> Item:
    if not isinstance(value, dict):
        item: Item = tomlkit.item(value)
        return item
    table: InlineTable = tomlkit.inline_table()
    for key, inner in value.items():
        table.append(key, _item(inner))
    return table
