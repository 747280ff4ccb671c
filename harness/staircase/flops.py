"""What a training costs, as the paper counts it (arXiv 2604.23747, Appendix B): 6 N D for tokens that are trained, and
2 N D for tokens that are generated, with N parameters and D tokens."""

from __future__ import annotations

TRAINED, GENERATED = 6, 2


def flops(parameters: int, trained: int, generated: int = 0) -> int:
    """trained, generated: tokens, those of prompts too, for they go through the model like all others."""
    return parameters * (TRAINED * trained + GENERATED * generated)
