"""Experiments between base directories.

- `bundle`: export
- `import_`: import
- `merge`: the union of two
"""

__all__ = ["bundle", "import_", "merge"]
