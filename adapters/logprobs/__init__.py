"""How likely given tokens are, by the frameworks' own functions and by inference engines, each in its environment.

A module of it has `WAYS`, by name; a way makes an `Answer` of a checkpoint, a dtype and ids, or None where there is no
such thing, as automatic mixed precision in float32.
"""
