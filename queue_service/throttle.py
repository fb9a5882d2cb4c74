"""A queue's own limit of messages a second: a bucket of tokens (https://en.wikipedia.org/wiki/Token_bucket)."""

from math import ceil

from mesh.clock import SECOND
from queue_service.queue_definition import DAY


class Throttle:
    """Tokens that fill up at ``rate`` a second, to a tenth of a second's worth and one at least.

    So no second sees more than the rate and that tenth, and a batch waits for what it takes.
    """

    def __init__(self, rate: float, now: int) -> None:
        self.rate = rate
        self._most = max(1.0, rate / 10)
        self._tokens, self._at = 1.0, now

    def available(self, now: int) -> int:
        """How many messages may go out at this instant."""
        self._tokens = min(self._most, self._tokens + max(0, now - self._at) * self.rate / SECOND)
        self._at = now
        # What arithmetic in binary leaves short of a whole token must not cost another wait.
        return int(self._tokens + 1e-9)

    def take(self, count: int) -> None:
        """That many went out."""
        self._tokens -= count

    @property
    def wait(self) -> int:
        """How long after it was last asked the next one may."""
        return ceil(min(float(DAY), max(0.0, 1 - self._tokens) * SECOND / self.rate))
