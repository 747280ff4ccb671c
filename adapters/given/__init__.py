"""What starts a framework's own entry point with a user's own options."""
