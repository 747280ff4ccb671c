"""A user's configuration as a run that is small enough for a CPU."""
