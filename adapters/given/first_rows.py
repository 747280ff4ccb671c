"""The first rows of a Parquet file, as lines of JSON: `python -m adapters.given.first_rows FILE COUNT OUT`.

Exit status 3 and one line where it cannot be read.
"""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

UNREAD = 3
LARGEST = 2**31
"""Bytes of the first row group, as the file says."""


class Unread(Exception):
    """It is no Parquet file, or too large; one line."""


def read(file: Path, count: int) -> list[str]:
    """A line for each row. Raises Unread."""
    try:
        with parquet.ParquetFile(file) as opened:
            groups = opened.metadata.num_row_groups
            if groups and opened.metadata.row_group(0).total_byte_size > LARGEST:
                raise Unread(f"its first group of rows has more than {LARGEST >> 30} GiB")
            batches = opened.iter_batches(batch_size=count)
            rows = itertools.islice((row for batch in batches for row in batch.to_pylist()), count)
            return [json.dumps(row, default=str) for row in rows]
    except (pa.ArrowException, OSError, ValueError) as error:
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise Unread(f"it is no Parquet file that can be read: {first[:200]}") from None


def main() -> int:
    file, count, out = sys.argv[1:]
    try:
        lines = read(Path(file), int(count))
    except Unread as error:
        print(error, file=sys.stderr)
        return UNREAD
    Path(out).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
