"""Pages for the browser.

- `report`: experiments in one HTML file
"""

__all__ = ["report"]
