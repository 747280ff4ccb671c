"""How long the parts of a run take."""
