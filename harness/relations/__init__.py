"""Two scenarios that must give one update, run by the same release and held against each other."""
