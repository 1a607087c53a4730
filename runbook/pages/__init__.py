"""What a browser shows: the report."""
