"""Any Python value as JSON-compatible data, JSON itself, and the formats of files by their suffix."""
