"""Mends of bugs that releases of frameworks have, one file each: `lockstep run --patch NAME`, or copied elsewhere.

A file imports nothing of Lockstep. Its `apply()` changes the framework in this process, and raises RuntimeError on a
release that it is not for.
"""
