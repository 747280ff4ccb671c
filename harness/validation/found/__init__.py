"""What small runs had, held against what the configuration says."""
