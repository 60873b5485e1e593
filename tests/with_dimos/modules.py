"""A small robot of two dimos modules."""

from typing import Any

import reactivex
from dimos.core.core import rpc
from dimos.core.module import Module
from dimos.core.stream import In, Out
from dimos.msgs.geometry_msgs.PoseStamped import PoseStamped
from dimos.msgs.geometry_msgs.Twist import Twist
from dimos.msgs.geometry_msgs.Vector3 import Vector3
from dimos.msgs.sensor_msgs.Image import Image
from reactivex.disposable import Disposable

from tests.with_dimos.messages import color, pose

STEP_S = 0.05
GAIN = -0.5


class Wanderer(Module):
    """Says where it is, and shows what it sees."""

    pose: Out[PoseStamped]
    picture: Out[Image]

    @rpc
    def start(self) -> None:
        super().start()
        self.register_disposable(reactivex.interval(STEP_S).subscribe(self._step))

    def _step(self, i: int) -> None:
        self.pose.publish(pose(i))
        self.picture.publish(color(i % 12))


class Homing(Module):
    """Drives back to where it came from."""

    pose: In[PoseStamped]
    cmd_vel: Out[Twist]

    @rpc
    def start(self) -> None:
        super().start()
        self.register_disposable(Disposable(self.pose.subscribe(self._steer)))

    def _steer(self, here: Any) -> None:
        self.cmd_vel.publish(Twist(Vector3(GAIN * here.x, GAIN * here.y, 0.0), Vector3()))
