"""A live experiment from its start to its end.

- `distributed`: the rank of this process, and the rendezvous file of a launch
- `endings`: the ending that an exception or a signal means
- `experiment`: `Experiment`, which the user's code gets
- `lifecycle`: the one implementation: open, run, classify, close
- `plan`: an experiment whose options have been checked
- `recorder`: its record, its logs and its ending
- `resume`: another attempt at an experiment
- `signals`: Ctrl-C, SIGTERM and SIGHUP
- `start`: the start of an experiment
- `writer`: its files, on disk or nowhere
"""

__all__ = ["endings", "experiment", "lifecycle", "plan", "resume"]
