"""What an experiment is: its status, record, ids and names of files, and the schema of its files."""
