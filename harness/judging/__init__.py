"""From a trace to findings and causes: evidence, checks, diagnosis, and what is accepted of it."""
