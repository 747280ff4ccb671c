"""Relations between runs of one release, as people read them."""
