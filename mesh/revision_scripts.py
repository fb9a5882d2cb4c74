"""The scripts of a schema's revisions, as Alembic reads them: the scripts are a service's own, the rest is shared."""

from pathlib import Path

import sqlalchemy as sa
from alembic.config import Config
from alembic.script import ScriptDirectory

from mesh.schema import VERSION_TABLE, Schema

#: Where Alembic finds its ``env.py`` and the template of a new revision.
_SURROUNDINGS = Path(__file__).with_name("migrations")


def configured(schema: Schema, connection: sa.Connection | None = None) -> Config:
    """Alembic's configuration for a schema; its commands run in the transaction of this connection."""
    config = Config()
    options = {
        "script_location": _SURROUNDINGS,
        "version_locations": schema.revisions,
        "path_separator": "newline",
        "file_template": "r%(rev)s_%(slug)s",
    }
    for name, value in options.items():
        config.set_main_option(name, str(value).replace("%", "%%"))
    config.attributes.update(connection=connection, metadata=schema.metadata, version_table=VERSION_TABLE)
    return config


def known(schema: Schema) -> tuple[str, ...]:
    """Every revision that this release has, oldest first."""
    scripts = ScriptDirectory.from_config(configured(schema))
    return tuple(script.revision for script in reversed(list(scripts.walk_revisions())))
