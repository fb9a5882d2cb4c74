"""The queues between the sign-up service and its sisters, by name."""

#: Confirmations on their way to the email service.
CONFIRMATIONS = "registration-confirmations"
#: Confirmations that the broker gave up; they come back here.
DEAD_CONFIRMATIONS = "registration-confirmations-dead"
#: What the email service says became of a confirmation.
EMAIL_REPORTS = "email-reports"
