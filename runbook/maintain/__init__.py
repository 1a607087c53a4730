"""What people do to a base directory while other processes may use it.

- `annotate`: adding notes and tags to an experiment
- `doctor`: finding what is wrong, and repairing it
- `disks`: what the file system guarantees
- `garbage`: deleting for good what nobody needs
- `leftovers`: finding the files of dead processes
- `trash`: deleting experiments and restoring them
"""

__all__ = ["annotate", "doctor", "garbage", "trash"]
