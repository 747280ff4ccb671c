"""From a verdict to what people read. Knows the verdict's schema and nothing else."""
