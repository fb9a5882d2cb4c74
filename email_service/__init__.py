"""The email service: renders and sends one email for each idempotency key, and reports what became of it.

A key is claimed on disk before the mail server is called, and its outcome is stored with the report to the caller in
one transaction. A repeat of a finished email answers with the stored outcome. A process that dies in the middle of the
SMTP conversation leaves the outcome unknown: the email is sent again, under the same Message-ID.
"""
