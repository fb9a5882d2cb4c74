"""How quick a flush to the disk is: on it hangs every figure of whoever confirms no sooner than that."""

import os
import time
from pathlib import Path

from benchmarks.percentile import percentile

_FLUSHES, _BYTES = 200, 4096


def flush(folder: Path) -> tuple[float, float]:
    """Seconds, p50 and p99, that appending 4 KiB and flushing them takes."""
    waited = []
    with (folder / "flush").open("wb", buffering=0) as file:
        for _ in range(_FLUSHES):
            file.write(bytes(_BYTES))
            begun = time.perf_counter()
            os.fdatasync(file.fileno())
            waited.append(time.perf_counter() - begun)
    return percentile(waited, 0.5), percentile(waited, 0.99)
