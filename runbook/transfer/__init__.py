"""Moves experiments between base directories.

- `admission`: staging an experiment, comparing it with those that are here, and admitting it
- `archive`: unpacking a bundle safely
- `bundle`: exporting an experiment, as a folder or as one zip file
- `import_`: importing a bundle or a folder
- `merge`: merging another base directory into this one
"""

__all__ = ["bundle", "import_", "merge"]
