"""Export to Rerun recordings (`.rrd`), which `rerun FILE` shows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dimos_record.errors import StorageError
from dimos_record.interop.exporting import About, Loss, Losses
from dimos_record.store.base import Row
from dimos_record.store.observation import Meta
from dimos_record.viewer.logger import check_max_rate
from dimos_record.viewer.presets import check_preset
from dimos_record.viewer.program import need_rerun

if TYPE_CHECKING:
    from dimos_record.viewer import RecordingLogger

_FLUSH_S = 60.0


class RrdWriter:
    """Writes what `dimos-record view` shows, with its layout, into a file.

    Args:
        path: the file to write.
        preset: from where the 3D view looks: `follow`, `top`, `side` or `front`.
        max_rate_hz: at most so many messages per recorded second of each topic, except those of
            which each counts: transforms, markers, texts and latched topics; all if None.

    Raises:
        OptionError: there is no such preset, or no such rate.
        MissingExtra: the package of the extra `view` is not installed.
    """

    def __init__(
        self, path: Path, *, preset: str = "follow", max_rate_hz: float | None = None
    ) -> None:
        need_rerun()
        check_max_rate(max_rate_hz)
        self._max_rate_hz = max_rate_hz
        self._path, self._preset = path, check_preset(preset)
        self._recording: Any = None
        self._logger: RecordingLogger | None = None
        self._losses = Losses()

    def begin(self, about: About) -> None:
        """Create the file, with the layout and the markers first."""
        from dimos_record.viewer import RecordingLogger
        from dimos_record.viewer.sinks import new_recording

        self._recording = new_recording(Path(about.name).name)
        self._recording.save(self._path)
        self._logger = RecordingLogger(
            self._recording, about.streams, about.origin_ns, max_rate_hz=self._max_rate_hz
        )
        self._logger.markers(about.markers)
        self._logger.layout(self._preset)

    @property
    def _opened(self) -> RecordingLogger:
        if self._logger is None:
            raise StorageError(f"{self._path} is not open for writing")
        return self._logger

    def write(self, row: Row, meta: Meta | None) -> bool:
        """Write what is shown of one message; see `ExportWriter`."""
        if meta is not None and meta.tags:
            self._losses.note(row.stream.topic, "tags")
        return self._opened.log(row)

    def finish(self) -> None:
        """Make the file complete, with the layout for what has turned up."""
        self._opened.layout(self._preset)
        try:
            self._recording.flush(timeout_sec=_FLUSH_S)
        except (RuntimeError, ValueError) as error:
            raise StorageError(
                f"{self._path} cannot be written, check the disk: {error}"
            ) from error
        self.close()

    def close(self) -> None:
        """Release the file."""
        if self._recording is not None:
            self._recording.disconnect()

    @property
    def losses(self) -> list[Loss]:
        """What could not be shown so far."""
        unshown = self._logger.unshown if self._logger else []
        return sorted(
            [*self._losses.listed(), *(Loss(one.topic, one.reason, one.count) for one in unshown)]
        )
