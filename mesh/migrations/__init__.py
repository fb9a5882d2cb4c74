"""What Alembic needs around the revisions of any service: its environment, and the template of a new one."""
