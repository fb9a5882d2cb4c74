"""The revisions of the sign-up service's tables, oldest first; `CONTRIBUTING.md` says how one is added."""
