"""A config object as plain settings.

- `difference`: what differs between several
- `redaction`: secrets kept out
- `settings`: settings, hash and `save_dir` of one config
"""

__all__ = ["difference", "redaction", "settings"]
