"""What a number of the user's may be, on the command line and in a site file."""

MOST_JOBS = 1024
MOST_SECONDS = 7 * 86400.0
"""Of one cell: a week."""
MAX_RANKS = 4
"""More of them would wait for each other longer than they train."""
