"""A live experiment from its start to its end.

- `endings`: how an experiment ended
- `experiment`: what the code inside of it holds
- `lifecycle`: the one implementation: open, run, classify, close
- `plan`: everything checked before anything is made
- `resume`: another attempt
"""

__all__ = ["endings", "experiment", "lifecycle", "plan", "resume"]
