"""Any Python value as data that strict JSON can hold, and the file formats that a suffix stands for.

- `arrays`: arrays, tensors and tables
- `figures`: figures of matplotlib and plotly as files
- `flatten`: nested data with dotted names, and back
- `formats`: objects in files, by suffix
- `gc_pause`: decoding without the garbage collector
- `json_text`: JSON as text, strict and fast
- `jsonable`: any value as JSON-compatible data
- `objects`: the fields of an object that count
- `scalars`: values without parts
- `timestamps`: moments as text
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
