"""The revisions of the email service's tables, oldest first; `CONTRIBUTING.md` says how one is added."""
