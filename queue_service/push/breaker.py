"""The circuit breaker of a push target: what makes a target unreachable, and when it is probed."""

from dataclasses import dataclass, replace

from mesh.clock import MILLISECOND, SECOND

#: The first wait before a probe, doubled after each probe in vain up to the longest. Short enough for a restart of the
#: target to go by unnoticed, long enough not to hammer one that is gone.
FIRST_WAIT = 250 * MILLISECOND
LONGEST_WAIT = 15 * SECOND

#: Codes by which a target, unless its handler explains itself with an ErrorInfo, says that it cannot be reached.
UNREACHABLE = frozenset({"UNAVAILABLE", "UNIMPLEMENTED", "UNAUTHENTICATED"})


@dataclass(frozen=True, slots=True)
class Breaker:
    """Closed while the target answers; open from the first call that did not reach it until one does."""

    change_time: int
    reason: str = ""
    wait: int = 0
    probe_at: int = 0

    @property
    def open(self) -> bool:
        """Whether only probes go out."""
        return bool(self.wait)

    def failed(self, reason: str, now: int) -> "Breaker":
        """The target was not reached."""
        if self.probe_at - self.wait <= now < self.probe_at:
            # A call that began before the first failure: one outage is not as many as it broke.
            return replace(self, reason=reason)
        wait = min(self.wait * 2, LONGEST_WAIT) if self.open else FIRST_WAIT
        return Breaker(self.change_time if self.open else now, reason, wait, now + wait)

    def succeeded(self, now: int) -> "Breaker":
        """The target answered, whatever it said."""
        return Breaker(now) if self.open else self
