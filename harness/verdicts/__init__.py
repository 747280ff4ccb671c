"""The schemas of findings and of `verdict.json`."""
