"""What PostgreSQL's errors mean for a transaction: try it again, nobody knows, or neither."""

from enum import Enum, auto
from typing import Any

from sqlalchemy import exc

from queue_service.storage.schema import REPEATS

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_IN_THE_WAY = frozenset({"40001", "40P01", "55P03"})  # serialization failure, deadlock, lock not available
_UNIQUE_VIOLATION = "23505"
# Connection exceptions, operator intervention (the server stops), and a transaction that idled for too long.
_CONNECTION_ENDS = ("08", "57", "25P03")


class Trouble(Enum):
    """What became of a statement."""

    CONFLICT = auto()
    """Another transaction was in the way: this one was rolled back and may be tried again."""
    LOST = auto()
    """The connection is gone, and with it whatever was not committed."""
    OTHER = auto()


def trouble(error: BaseException) -> Trouble:
    """What an error of the driver, wrapped or not, means."""
    invalid = isinstance(error, exc.DBAPIError) and error.connection_invalidated
    found = (isinstance(error, exc.DBAPIError) and error.orig) or error
    state = getattr(found, "sqlstate", None)
    if state in _IN_THE_WAY or (state == _UNIQUE_VIOLATION and _table(found) == REPEATS.name):
        return Trouble.CONFLICT
    if invalid or (state or "").startswith(_CONNECTION_ENDS) or (state is None and _is_operational(found)):
        return Trouble.LOST
    return Trouble.OTHER


def _table(error: Any) -> str | None:
    """The table that an error is about: two nodes stored the same id of a send at the same time."""
    name: str | None = getattr(getattr(error, "diag", None), "table_name", None)
    return name


def _is_operational(error: BaseException) -> bool:
    return any(kind.__name__ in ("OperationalError", "InterfaceError") for kind in type(error).__mro__)
