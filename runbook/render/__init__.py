"""Tables as text, HTML, Markdown, LaTeX and CSV.

- `colours`: the colours of statuses
- `columns`: the width of each column, and text folded into it
- `entry_columns`: the columns with which tables of experiments begin
- `grid`: columns of text beside each other, as every printed table has them
- `notebook`: experiments as HTML
- `summary`: experiments in the terminal
- `tables`: a table as data, and its forms
"""

__all__ = ["colours", "columns", "entry_columns", "grid", "notebook", "summary", "tables"]
