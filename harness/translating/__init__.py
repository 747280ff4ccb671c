"""What options of frameworks mean as an objective, and an objective as options of a framework."""
