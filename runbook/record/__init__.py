"""What an experiment is; no module here opens a file.

- `identifiers`: ids, and the words that users write instead of ids
- `layout`: every name of a file or folder
- `model`: the records, which are immutable
- `registry_entry`: the entry of an experiment in the registry
- `schema`: records as JSON-compatible data, and checked records from such data
- `status`: statuses and end reasons
- `upgrades`: files in older versions of our formats
"""

__all__ = ["identifiers", "layout", "model", "registry_entry", "schema", "status", "upgrades"]
