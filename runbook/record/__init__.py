"""What an experiment is: nothing here opens a file.

- `identifiers`: ids, and what users write in their place
- `layout`: every name of a file or folder
- `model`: the records, immutable
- `registry_entry`: the entry of the registry, and its fields as values
- `schema`: records as JSON-compatible data and back, checked
- `status`: statuses and end reasons
- `upgrades`: files in older versions of our formats
"""

__all__ = ["identifiers", "layout", "model", "registry_entry", "schema", "status", "upgrades"]
