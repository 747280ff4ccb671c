"""Standard matrices: few scenarios for each framework that meet every pair of values which it can express."""
