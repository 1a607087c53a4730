"""What an experiment runs on and with, caught when it begins."""
