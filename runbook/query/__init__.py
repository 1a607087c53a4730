"""`where` expressions over the fields of experiments: filters and sorting."""
