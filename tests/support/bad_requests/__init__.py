"""Every request of the broker's contract with everything that can be wrong with it, one table a service."""
