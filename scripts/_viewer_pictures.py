"""Pictures of the viewer for the documentation, drawn by Rerun without a display.

Each is what `dimos-record view` shows: the demo robot, which this records, and the Nav2 log, if it
is given. It takes about three minutes, and needs a graphics driver for computers without a graphics
card: on Debian and Ubuntu mesa-vulkan-drivers.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dimos_record import RecordReplay
from dimos_record.interop.importing import import_file
from dimos_record.testing import free_lcm_url
from dimos_record.viewer import program

IMAGES = Path(__file__).parents[1] / "docs" / "images"
COMMAND = [sys.executable, "-m", "dimos_record.cli.main"]
WINDOW = (1400, 920)
TITLE_BAR = 36
COLORS = 256


def main() -> None:
    """Make both pictures, or the first."""
    parser = argparse.ArgumentParser(prog="scripts/viewer_pictures", description=__doc__)
    parser.add_argument("nav2", nargs="?", type=Path, help="nav2_turtlebot.mcap")
    nav2 = parser.parse_args().nav2
    with tempfile.TemporaryDirectory() as folder, viewer() as port:
        demo = record_demo(Path(folder) / "demo.db")
        picture(port, demo, "viewer-demo-robot.png", seconds=24, preset="follow")
        if nav2 is not None:
            log = Path(folder) / "nav2.db"
            import_file(nav2, log)
            picture(port, log, "viewer-nav2.png", seconds=76, preset="top")


def record_demo(path: Path) -> Path:
    """A recording of the demo robot with two markers."""
    bus = ["--bus", f"{free_lcm_url()}&recv_buf_size=4000000"]
    robot = [*COMMAND, "demo-robot", "--quiet", "--duration", "30s", *bus]
    with subprocess.Popen(robot, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        subprocess.run([*COMMAND, "record", path, "-q", "--duration", "26s", *bus], check=True)
    with RecordReplay(path) as rec:
        rec.add_marker(8.0, "through the door")
        rec.add_marker(14.0, "around the table", until=20.0)
    return path


@contextmanager
def viewer() -> Iterator[int]:
    """Rerun's viewer without a window; where it takes messages."""
    port = program.free_port()
    size = "x".join(map(str, WINDOW))
    process = program.start(["--headless", "--window-size", size], port)
    try:
        yield port
    finally:
        program.stop(process)


def picture(port: int, recording: Path, name: str, *, seconds: float, preset: str) -> None:
    """Let the viewer play a recording up to a position, and keep what it shows then."""
    from rerun.experimental import ViewerClient

    at = ["--connect", f"127.0.0.1:{port}", "--preset", preset, "--end", str(seconds)]
    subprocess.run([*COMMAND, "view", recording, *at], check=True)
    time.sleep(seconds + 10)  # it draws without a graphics card, and messages of its own go away
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / name
        ViewerClient.connect(program.grpc_url(port)).save_screenshot(str(shot))
        reduce(shot, IMAGES / name)


def reduce(shot: Path, out: Path) -> None:
    """Cut off the title bar, and take fewer colours."""
    from PIL import Image

    with Image.open(shot) as image:
        scale = image.width // WINDOW[0]
        inside = image.crop((0, TITLE_BAR * scale, image.width, image.height)).convert("RGB")
        small = inside.resize((inside.width // scale, inside.height // scale))
        small.quantize(COLORS).save(out, optimize=True)
    print(f"{out}: {out.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
