"""What producers and consumers saw, and whether a broker that keeps its promise can have shown it to them."""
