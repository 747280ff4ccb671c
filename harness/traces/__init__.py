"""Reading what was recorded: files, batches, recovered numbers."""
