"""From recovered weights to causes: hypotheses of how trainers go wrong, tried against what was observed."""
