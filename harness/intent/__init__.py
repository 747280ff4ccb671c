"""What a step should have been: the intent, and where one comes from."""
