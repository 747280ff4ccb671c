"""A run as pages for a browser: an index with the matrix, and a page for each cell with its pictures."""

from reports.html.place import NotAReport
from reports.html.report import write

__all__ = ["NotAReport", "write"]
