"""Stands in for flash-attn, which has no build for a CPU; OpenRLHF imports it wherever it runs."""
