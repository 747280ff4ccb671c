"""Values that an option may be given and cannot take, by what it takes."""

from __future__ import annotations

LONG = "x" * 300
"""More than a file's name may have."""

FLOATS = ("", "inf", "-inf", "nan", "-1", "1e999", "many", "1,5")
INTEGERS = ("", "inf", "nan", "-1", "0", "1.5", "many", "0x10")
COUNTS = (*INTEGERS, "9" * 30)
CHOICES = ("", "other", "\x1b[31mred", LONG)
NAMES = ("", "other", "tr\u202el", "\x1b]52;c;x\x07", LONG, "a b", "../torch", "torch==", "torch==1..0", "torch>=1")
RELEASES = (*NAMES, "torch==1,torch==2", "torch=1", "torch@", "torch@a\nb")
SCENARIOS = ("", "other", "\u202e", LONG, "sft-equal@", "sft-equal@-1", "sft-equal@x", "sft-equal@9999999999")
FILES = ("missing", ".", "/dev/null", "/dev/zero", LONG, f"{LONG}/x", "binary", "file/x", "loop", "fifo")
"""What is read."""
PLACES = ("file", "file/x", LONG, "/dev/null", "/dev/null/x", "/proc/new", "loop", "loop/x")
"""Where a folder cannot be."""
ENVIRONMENTS = tuple(place for place in PLACES if place != "/proc/new")  # a folder may be read-only
TARGETS = ("file/x", f"{LONG}/x", "/dev/null/x", "/proc/new", "loop", "run")
"""Where a file cannot be written."""
FOLDERS = ("missing", "file", LONG, f"{LONG}/x", "/dev/null", "/dev/null/x", "loop", "empty", "fifo", "/proc/new")
"""What is no run and no trace."""
DATES = ("", "today", "2025-13-01", "2025-1-1", "\x1b[m")
