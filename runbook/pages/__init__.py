"""What a browser shows.

- `report`: experiments in one HTML file
"""

__all__ = ["report"]
