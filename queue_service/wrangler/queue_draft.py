"""A queue about to be written: its settings in their order, and what is to be said of them."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Line:
    """A setting, under the contract's name; ``remark`` stands behind it."""

    key: str
    value: Any
    remark: str = ""


@dataclass(slots=True)
class QueueDraft:
    """A queue as the files tell of it bit by bit."""

    name: str
    original: str
    bindings: list[str] = field(default_factory=list)
    delivery_delay: str = ""
    consumer_key: str = ""
    remarks: list[str] = field(default_factory=list)
    consumer: list[Line] = field(default_factory=list)
