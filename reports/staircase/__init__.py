"""The faces of a staircase: what each fix is worth, at a terminal, in Markdown, as pictures."""
