"""The staircase: small models trained for real, once for every combination of fixes, and what each fix is worth."""
