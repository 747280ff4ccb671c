"""A user's own configuration, read and held against what a release knows; nothing of it is run here."""
