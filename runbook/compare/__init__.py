"""Experiments side by side, and groups of them with statistics.

- `comparison`: experiments side by side
- `directions`: which way a metric is better
- `grouping`: groups of experiments that differ by their seed or share a field
- `groups`: the comparison of groups
"""

__all__ = ["comparison", "directions", "grouping", "groups"]
