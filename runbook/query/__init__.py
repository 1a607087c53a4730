"""`where` expressions over the fields of experiments.

- `fields`: fields by the names that people write
- `lexer`: words of an expression
- `parser`: expressions
- `search`: filters and sorting
"""

__all__ = ["fields", "lexer", "parser", "search"]
