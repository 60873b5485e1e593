"""Looking a recording over: what is wrong with it, what that means, and what to do.

`diagnose` changes nothing on disk.
"""

from __future__ import annotations

from dimos_record.store.doctor.diagnose import diagnose
from dimos_record.store.doctor.findings import Diagnosis, Finding, Severity

__all__ = ["Diagnosis", "Finding", "Severity", "diagnose"]
