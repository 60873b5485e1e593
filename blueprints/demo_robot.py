"""The demo robot as dimos blueprints: `dimos run dimos-record.demo-robot`."""

from dimos.core.coordination.blueprints import autoconnect
from dimos.core.global_config import global_config
from dimos.visualization.vis_module import vis_module

from dimos_record.blueprints.driver import DemoDriver
from dimos_record.blueprints.follower import DemoFollower
from dimos_record.blueprints.mapper import DemoMapper
from dimos_record.blueprints.view import VIEW
from dimos_record.integrations.dimos import default_record_modules, record

RECORDING = "demo-robot.db"
RING = "demo-robot-ring"

demo_robot = default_record_modules(
    autoconnect(DemoDriver.blueprint(), DemoMapper.blueprint(), DemoFollower.blueprint()),
    DemoDriver,
).global_config(n_workers=2)
"""A robot that drives its round through two rooms and maps them."""

demo_robot_recorded = record(demo_robot, RECORDING, append=True)
"""The same with a recorder: what the driver publishes goes into one more session of RECORDING."""

demo_robot_always = record(demo_robot, RING, ring="5m")
"""The same with a recorder that never ends: the last five minutes are in RING, from which
`dimos-record keep demo-robot-ring` writes what is worth keeping."""

demo_robot_viewer = autoconnect(demo_robot, vis_module(global_config.viewer, VIEW))
"""The same, shown in dimos's viewer."""
