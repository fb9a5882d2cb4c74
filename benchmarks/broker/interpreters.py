"""The two interpreters: ours, and the peers', whose libraries the project does not depend on."""

import sys
from pathlib import Path

OURS = Path(sys.executable)
#: Made by ``make bench`` from ``peers.txt``.
PEERS = Path(__file__).resolve().parents[2] / ".tools" / "bench" / "bin" / "python"
