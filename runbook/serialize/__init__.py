"""Any Python value as JSON-compatible data, JSON itself, and the formats of files by their suffix.

- `arrays`: arrays, tensors and tables
- `figures`: figures of matplotlib and plotly as files
- `flatten`: nested data as one mapping with dotted keys
- `formats`: objects in files, by suffix
- `gc_pause`: decoding without the garbage collector
- `json_text`: JSON as text, strict and fast
- `jsonable`: any value as JSON-compatible data
- `objects`: the fields of an object
- `scalars`: values without parts
- `timestamps`: times as text
- `training_history`: training histories of frameworks
"""

__all__ = [
    "arrays",
    "figures",
    "flatten",
    "formats",
    "gc_pause",
    "json_text",
    "jsonable",
    "objects",
    "scalars",
    "timestamps",
    "training_history",
]
