"""Framework environments: what is asked for, how it is built, and what is there."""
