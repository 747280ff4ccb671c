"""The faces of a mismatch: trainers and engines against float64 and each other, at a terminal and in Markdown."""
