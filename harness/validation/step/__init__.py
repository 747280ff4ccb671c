"""The step that a configuration asks for, whatever framework it is of."""
