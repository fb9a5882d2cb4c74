"""A loss of power without losing power: what a process wrote and did not sync is taken from its files."""
