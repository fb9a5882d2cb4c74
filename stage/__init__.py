"""The mesh as processes, and a mail server that misbehaves as told: for ``make run``, the demo and the benchmarks."""
