"""A recording on the timeline: looked at, played, and edited. `TimelineScreen` is the screen."""
