"""Tables as text, HTML, Markdown, LaTeX and CSV."""
