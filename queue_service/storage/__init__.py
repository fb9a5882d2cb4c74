"""Where the broker keeps its messages: one interface, two stores that pass the same suite."""
