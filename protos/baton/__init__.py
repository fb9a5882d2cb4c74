"""The published contracts of Baton, as typed Python."""
