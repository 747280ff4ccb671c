"""A night: what is released is looked up and run, and what is found is told once."""
