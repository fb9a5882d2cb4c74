"""What is measured, and how: each suite is a package of its own."""
