"""What the traces are made of."""
