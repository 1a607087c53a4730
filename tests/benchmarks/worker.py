"""One measurement in a process of its own: `python worker.py SYSTEM OPERATION ARGUMENTS RESULT`.

Run by the harness, in the environment of the system. The clock starts before anything but these two modules is imported.
The result goes to a file, because some systems print what they like.
"""

import sys
import time

STARTED = time.perf_counter()


def main(system, operation, arguments, result):
    import importlib
    import json
    import os

    driver = importlib.import_module(f"systems.{system}")
    os.environ.update(driver.ENVIRONMENT)
    import operations

    numbers = getattr(operations, operation)(driver, started=STARTED, **json.loads(arguments))
    with open(result + ".new", "w") as file:
        json.dump(numbers, file)
    os.rename(result + ".new", result)


if __name__ == "__main__":
    main(*sys.argv[1:])
