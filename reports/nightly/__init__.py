"""What a night found, for people."""
