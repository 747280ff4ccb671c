"""The float64 oracle: what a right step is, and what a recorded step really weighed. Imports no framework."""
