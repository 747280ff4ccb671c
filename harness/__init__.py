"""Everything right of the trace: environments, launching, trace reading, oracle, checks, diagnosis, command line."""
