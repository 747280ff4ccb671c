"""The faces of trainings with a mismatch: at a terminal, in Markdown, as pictures."""
