"""What is measured, started in a temporary folder on free ports, with the durability that the comparison asks for."""
