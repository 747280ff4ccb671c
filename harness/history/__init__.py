"""What was measured over time, and what changed."""
