"""What is kept of every cell: records, restorations and sweeps in a results folder, each file whole or not there.

    <output>/nidbench.json            the folder's format
    <output>/cells/<id>/record.json   how the cell ended; there only when everything else of the cell is
    <output>/cells/<id>/log.json      its curve, details, traceback and environment, read only when asked for
    <output>/cells/<id>/arrays.npz    the restoration and its variance, float32
    <output>/cells/<id>/kept.npz      what else was asked for: posterior draws, maps of layers
    <output>/work/<id>/               checkpoint and curve of a cell in flight, and what they are of
    <output>/sweeps/<name>.json       a list of cell ids and how they were asked for

Records are the truth; MLflow runs, tables and pictures are made from them and can be made again at any time.
"""

from __future__ import annotations

from .attempts import ARRAYS as ARRAYS
from .attempts import ARRAYS_DAMAGE as ARRAYS_DAMAGE
from .attempts import file_name as file_name
from .cell import Cell as Cell
from .lines import ENDING as ENDING
from .lines import as_line as as_line
from .lines import read_records as read_records
from .names import checked_name as checked_name
from .record import DAMAGE as DAMAGE
from .record import FORMAT as FORMAT
from .record import STATUSES as STATUSES
from .record import Log as Log
from .record import Point as Point
from .record import Record as Record
from .record import error_line as error_line
from .replaced import left_out as left_out
from .results_root import MARKER as MARKER
from .store import Store as Store
from .sweep import FROM_FILES as FROM_FILES
from .sweep import MERGED as MERGED
from .sweep import OF_RECORDS as OF_RECORDS
from .sweep import Choices as Choices
from .sweep import Names as Names
from .sweep import Planned as Planned
from .sweep import Precision as Precision
from .sweep import Source as Source
from .sweep import Sweep as Sweep
from .sweep import joined as joined
