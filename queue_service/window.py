"""The flow control of a stream: what its consumer holds unsettled, counted in the broker, and the room beside it."""

from collections.abc import Iterable
from dataclasses import dataclass

from queue_service.message import Delivery, Lease

#: The contract's defaults.
DEFAULT_MESSAGES = 1000
DEFAULT_BYTES = 16 * 1024 * 1024


@dataclass(slots=True)
class _Held:
    size: int
    ends_at: int


class Window:
    """Leases that were delivered and are neither settled nor over, and the room beside them."""

    def __init__(self) -> None:
        self._held: dict[Lease, _Held] = {}
        self._bytes = 0
        self.max_messages = DEFAULT_MESSAGES
        self.max_bytes = DEFAULT_BYTES

    @property
    def held(self) -> tuple[Lease, ...]:
        """The leases in it."""
        return tuple(self._held)

    @property
    def free_messages(self) -> int:
        """How many more messages fit; none as long as their bytes are used up."""
        return max(0, self.max_messages - len(self._held)) if self.free_bytes else 0

    @property
    def free_bytes(self) -> int:
        """How many more bytes fit."""
        return max(0, self.max_bytes - self._bytes)

    def add(self, deliveries: Iterable[Delivery]) -> None:
        """Count what goes out."""
        for delivery in deliveries:
            size = delivery.message.size
            self._held[delivery.lease] = _Held(size, delivery.lease_expire_time)
            self._bytes += size

    def remove(self, leases: Iterable[Lease]) -> None:
        """Forget what is settled; what is not in it is no matter."""
        for lease in leases:
            if (held := self._held.pop(lease, None)) is not None:
                self._bytes -= held.size

    def extend(self, leases: Iterable[Lease], until: int) -> None:
        """Note that leases end later."""
        for lease in leases:
            if lease in self._held:
                self._held[lease].ends_at = until

    def over(self, now: int) -> list[Lease]:
        """The leases that have run out."""
        return [lease for lease, held in self._held.items() if held.ends_at <= now]

    def next_end(self) -> int | None:
        """When the next of them runs out."""
        return min((held.ends_at for held in self._held.values()), default=None)
