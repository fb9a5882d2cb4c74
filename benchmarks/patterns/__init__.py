"""The three ways to send a confirmation beside a request, measured."""
