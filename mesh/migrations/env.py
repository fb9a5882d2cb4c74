"""What Alembic runs around the revisions' scripts: on the connection, and in the transaction, of whoever called it."""

from alembic import context

_given = context.config.attributes

context.configure(
    connection=_given["connection"],
    target_metadata=_given["metadata"],
    version_table=_given["version_table"],
    on_version_apply=_given.get("applied"),
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
