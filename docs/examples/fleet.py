"""One question to a thousand recordings: make them, export them, and ask with DuckDB and Dask.

python docs/examples/fleet.py --recordings 1000 --folder /data/fleet-example
"""

from __future__ import annotations

import argparse
import math
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dask.dataframe as dd
import duckdb
import pandas as pd
from dimos_lcm.geometry_msgs import Point, Pose, Twist, Vector3
from dimos_lcm.nav_msgs import Odometry
from dimos_lcm.sensor_msgs import BatteryState
from dimos_lcm.std_msgs import Header, Time

from dimos_record import RecordReplay
from dimos_record.interop.partitions import add_to_data_set

DAY_NS = 86_400_000_000_000
FIRST_DAY_NS = 1_793_491_200_000_000_000  # 2026-11-01
ROBOTS = 25
SECONDS, ODOM_HZ = 30, 10

SPEED = "twist.twist.linear.x"


def make_recording(path: Path, number: int) -> None:
    """Half a minute of one robot: `/odom` at 10 Hz and `/battery` once per second."""
    rng = random.Random(number)
    start_ns = FIRST_DAY_NS + number // ROBOTS * DAY_NS + rng.randrange(DAY_NS - SECONDS * 10**9)
    cruise, charge, x = rng.uniform(0.3, 1.5), rng.uniform(0.2, 1.0), 0.0
    with RecordReplay(path) as rec:
        odom = rec.stream("odom", topic="/odom", type_name="nav_msgs.Odometry")
        battery = rec.stream("battery", topic="/battery", type_name="sensor_msgs.BatteryState")
        for i in range(SECONDS * ODOM_HZ):
            ts_ns = start_ns + i * 10**9 // ODOM_HZ
            stamp = Header(stamp=Time(*divmod(ts_ns, 10**9)), frame_id="odom")
            speed = max(0.0, cruise * math.sin(i / 20 + number))
            x += speed / ODOM_HZ
            message = Odometry(header=stamp, child_frame_id="base_link")
            message.pose.pose = Pose(position=Point(x=x, y=0.0, z=0.0))
            message.twist.twist = Twist(linear=Vector3(x=speed, y=0.0, z=0.0))
            odom.append(message, ts_ns=ts_ns)
            if i % ODOM_HZ == 0:
                charge -= 0.0005
                state = BatteryState(header=stamp, percentage=charge, voltage=24.0 * charge)
                battery.append(state, ts_ns=ts_ns)


def export(recordings: list[Path], out: Path) -> None:
    """What `dimos-record export parquet --partition-by day,robot` does, for each robot."""
    for path in recordings:
        with RecordReplay(path) as rec:
            add_to_data_set(rec.view(), out, by="day,robot", robot=path.parent.name)


def ask_duckdb(out: Path) -> pd.DataFrame:
    """Of each robot: how often it was moving, how fast on average then, and its top speed."""
    return duckdb.sql(f"""
        SELECT robot, count(*) AS moving, avg("{SPEED}") AS mean_speed, max("{SPEED}") AS top_speed
        FROM read_parquet('{out}/stream=odom/**/*.parquet', hive_partitioning = true)
        WHERE "{SPEED}" > 0.05
        GROUP BY robot ORDER BY robot
    """).df()


def ask_dask(out: Path) -> pd.DataFrame:
    """The same question to Dask, which spreads the files over its workers."""
    odom = dd.read_parquet(out / "stream=odom", columns=[SPEED, "robot"])
    speed = odom[odom[SPEED] > 0.05].groupby("robot", observed=True)[SPEED]
    found = speed.agg(["count", "mean", "max"]).compute().sort_index().reset_index()
    return found.set_axis(["robot", "moving", "mean_speed", "top_speed"], axis="columns")


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Say how long something took."""
    start_s = time.perf_counter()
    yield
    print(f"{what}: {time.perf_counter() - start_s:.2f} s")


def main() -> None:
    """Run the example."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recordings", type=int, default=1000)
    parser.add_argument("--folder", type=Path, required=True, help="it must be empty")
    chosen = parser.parse_args()
    out: Path = chosen.folder / "fleet"
    recordings = [
        chosen.folder / "recordings" / f"r{number % ROBOTS:02}" / f"run-{number:04}.db"
        for number in range(chosen.recordings)
    ]
    with timed(f"{len(recordings):,} recordings made"):
        for number, path in enumerate(recordings):
            path.parent.mkdir(parents=True, exist_ok=True)
            make_recording(path, number)
    with timed("exported"):
        export(recordings, out)
    files = list(out.rglob("*.parquet"))
    size = sum(path.stat().st_size for path in files)
    before = sum(path.stat().st_size for path in recordings)
    print(f"{len(files):,} files, {size / 1e6:.1f} MB, of recordings of {before / 1e6:.1f} MB")
    with timed("DuckDB"):
        from_duckdb = ask_duckdb(out)
    with timed("Dask"):
        from_dask = ask_dask(out)
    pd.testing.assert_frame_equal(
        from_duckdb, from_dask.astype(from_duckdb.dtypes.to_dict()), check_exact=False
    )
    print("Both say the same:")
    print(from_duckdb.head(5).to_string(index=False))


if __name__ == "__main__":
    main()
