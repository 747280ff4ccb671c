"""Cells, and commands, by jobs of Slurm."""
