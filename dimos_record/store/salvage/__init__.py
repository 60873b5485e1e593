"""Getting messages out of damaged recordings.

SQLite stops at the first page that cannot be right. What is here reads the pages itself: those of
the file and those of the log beside it, each on its own (https://sqlite.org/fileformat2.html). Only
messages that are proven whole are taken over. The damaged file is never written to.
"""

from __future__ import annotations

from dimos_record.store.salvage.report import Gap, SalvageReport, StreamSalvage
from dimos_record.store.salvage.writing import salvage

__all__ = ["Gap", "SalvageReport", "StreamSalvage", "salvage"]
