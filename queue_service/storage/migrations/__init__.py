"""The revisions of the broker's tables, oldest first; `CONTRIBUTING.md` says how one is added."""
