"""What a number of the user's may be, on the command line and in a site file."""

MOST_JOBS = 1024
MOST_SECONDS = 7 * 86400.0
"""Of one cell: a week."""
MAX_RANKS = 64
"""Rows are made for so many, and each step's oracle takes all of them."""
MAX_MACHINES = 64
"""That one cell is spread over."""
