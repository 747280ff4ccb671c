"""What each family of configurations says of a step, one file a family; what several share stands in `trainer`."""
