"""The broker beside its peers and its limits: sends, deliveries and settlements a second, and latency."""
