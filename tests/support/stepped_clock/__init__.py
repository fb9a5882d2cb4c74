"""A wall clock that a test sets forward and back under a running process."""
