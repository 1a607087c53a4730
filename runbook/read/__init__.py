"""Experiments to look at.

- `listing`: several, as a list
- `view`: one, read-only
"""

__all__ = ["listing", "view"]
