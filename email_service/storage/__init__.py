"""Where emails, their outcomes and the reports about them are kept."""
