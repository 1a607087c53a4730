"""Looking after a base directory from outside.

- `annotate`: notes and tags
- `doctor`: what is wrong, and mending it
- `garbage`: making room
- `trash`: deleting and restoring
"""

__all__ = ["annotate", "doctor", "garbage", "trash"]
