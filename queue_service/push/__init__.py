"""Push: the broker calls the consumer."""
