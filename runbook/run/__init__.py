"""A live experiment from its start to its end."""
