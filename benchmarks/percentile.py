"""Percentiles, as every suite takes them."""

import math
from collections.abc import Iterable


def percentile(values: Iterable[float], share: float) -> float:
    """The value that a share of all values does not exceed (nearest rank)."""
    ascending = sorted(values)
    return ascending[max(0, math.ceil(share * len(ascending)) - 1)]
