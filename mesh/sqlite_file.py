"""An SQLite file that is there, opened beside whoever uses it: never made, no lock taken, nothing about it set."""

import sqlite3
from pathlib import Path
from urllib.parse import quote

#: Seconds that a statement waits for another process's.
PATIENCE = 10.0


def open_existing(path: Path) -> sqlite3.Connection:
    """A connection to the file; one that only reads disturbs no writer."""
    return sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=rw", uri=True, timeout=PATIENCE)
