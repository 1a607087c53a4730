"""A config object as JSON-compatible data.

- `difference`: the settings that differ between configs
- `redaction`: secrets are left out
- `settings`: the settings, the hash and the `save_dir` of one config
"""

__all__ = ["difference", "redaction", "settings"]
