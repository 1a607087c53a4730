"""Experiments side by side, and groups of them with statistics.

- `comparison`: experiments side by side
- `directions`: which way a metric is better
- `grouping`: experiments that belong together
- `groups`: groups compared
"""

__all__ = ["comparison", "directions", "grouping", "groups"]
