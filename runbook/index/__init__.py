"""The index of all experiments of a base directory: a protocol, one opener, and the JSON registry as its engine.

Nobody outside of this package reaches pending entries, the format of the registry or its lock.
"""

from runbook.index.opener import open_default_index, open_index
from runbook.index.protocol import Index, Inspection

__all__ = ["Index", "Inspection", "open_default_index", "open_index"]
