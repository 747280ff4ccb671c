"""What releases know: their options with the defaults, and what is said of each key."""
