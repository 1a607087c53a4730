"""`python -m runbook` is the command `runbook`."""

from runbook.cli import main

if __name__ == "__main__":
    main(prog_name="python -m runbook")
