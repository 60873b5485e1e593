"""What is on the bus now, and recording it."""
