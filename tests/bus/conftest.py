from __future__ import annotations

import pytest


@pytest.fixture(params=["compiled", "package"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How LCM is received and sent: by the compiled part, or through the package lcm."""
    monkeypatch.setenv("DIMOS_RECORD_NATIVE", "1" if request.param == "compiled" else "0")
    if request.param == "compiled":
        from dimos_record.bus import _lcm_native  # noqa: F401 - without it this would be the other
    return str(request.param)
