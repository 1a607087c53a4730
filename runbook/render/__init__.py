"""Tables as text, HTML, Markdown, LaTeX and CSV.

- `colours`: of statuses
- `columns`: finding a width for each column, and folding text into it
- `entry_columns`: the columns with which tables of experiments begin
- `grid`: columns of text beside each other, as every printed table has them
- `notebook`: experiments as HTML
- `summary`: experiments in the terminal
- `tables`: a table as data, and its forms
"""

__all__ = ["colours", "columns", "entry_columns", "grid", "notebook", "summary", "tables"]
