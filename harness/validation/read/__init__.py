"""The user's words: files, command lines and scripts, of which nothing is run."""
