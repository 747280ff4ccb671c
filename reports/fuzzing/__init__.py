"""What a fuzz has found, as people read it."""
