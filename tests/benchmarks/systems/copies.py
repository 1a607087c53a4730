"""Many experiments from one, for systems that keep each in a folder of its own and never look at it again."""

import os
import shutil


def of(folder, names):
    """Copies of a folder beside it.

    Args:
        folder: the folder of an experiment that the system itself has recorded.
        names: of the copies.
    """
    for name in names:
        shutil.copytree(folder, os.path.join(os.path.dirname(folder), name), symlinks=True)
