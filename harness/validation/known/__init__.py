"""Options of real releases with their defaults, a file a package, made by `python -m harness.validation.gathering`."""
