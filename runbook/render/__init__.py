"""Tables as text, HTML, Markdown, LaTeX and CSV.

- `colours`: of statuses
- `columns`: finding a width for each column
- `notebook`: experiments as HTML
- `summary`: experiments in the terminal
- `tables`: a table as data, and its forms
"""

__all__ = ["colours", "columns", "notebook", "summary", "tables"]
