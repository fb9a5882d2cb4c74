"""A history cut where a backup was made: what a broker that was restored from it may be held to.

Everything before the backup began is in it, nothing that came after it ended, and of what was under way in between
nobody knows: such a send may be there or not, such a settlement may count or not.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from tests.support.history.event import Event, What


def backed_up(events: Iterable[Event], began: int, ended: int) -> Iterator[Event]:
    """The events that a backup knows of, to be followed by those of the restored broker."""
    for event in events:
        if event.at < began:
            yield event
        elif event.at <= ended:
            yield from _in_between(event)


def _in_between(event: Event) -> Iterator[Event]:
    match event.what:
        case What.OK | What.FAILED:
            yield replace(event, what=What.UNKNOWN)
        case What.DELIVERED:
            yield replace(event, until=event.at - 1)  # the lease may be unknown to the backup
        case What.SETTLED:
            pass
        case _:
            yield event
