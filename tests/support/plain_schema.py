"""Tables of a test's own, as a schema without a history."""

from pathlib import Path

import sqlalchemy as sa

from mesh.schema import Schema


def plain_schema(metadata: sa.MetaData) -> Schema:
    return Schema("test_service", metadata, Path("/nowhere"), newest="0001", claim=1)
