"""Results on their way from one lab to another: sweeps packed into one file, and brought into a results folder.

    pack     one file of the sweeps' records, arrays as asked, environments and hashes
    merge    a packed file, a file of records alone, or another results folder, into this one

A packed file is a ZIP archive whose files lie as in a results folder, uncompressed, with a manifest at its end:

    sweeps/<name>.json                        the sweeps, as asked for
    cells/<id>/record.json, log.json, ...     their cells, byte by byte as the folder has them
    nidbench-pack.json                        format, version, environments, and bytes and SHA-256 of each file

What comes from elsewhere is checked as a whole before anything of it is written, and none of it is ever executed.
"""

from __future__ import annotations

from .archive import Archive as Archive
from .folder import Folder as Folder
from .manifest import PACK_FORMAT as PACK_FORMAT
from .merge import Merged as Merged
from .merge import merge as merge
from .pack import Arrays as Arrays
from .pack import Packed as Packed
from .pack import pack as pack
from .source import Source as Source
