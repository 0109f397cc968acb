"""Demonstrations: recorded to, and streamed from, LeRobot data sets (v3: Parquet and video). See docs/data.md."""

from embodied.data.dataset import DataConfig, DemonstrationSet
from embodied.data.errors import DataError
from embodied.data.prefetch import Prefetch
from embodied.data.recorder import Progress, Recorder, VideoConfig, recover
from embodied.data.segments import Demonstrations, Episode, FrameSource, Segment
from embodied.data.split import split_episodes
from embodied.data.stats import Statistics, statistics
from embodied.data.stream import SegmentConfig, SegmentStream

__all__ = [
    "DataConfig",
    "DataError",
    "DemonstrationSet",
    "Demonstrations",
    "Episode",
    "FrameSource",
    "Prefetch",
    "Progress",
    "Recorder",
    "Segment",
    "SegmentConfig",
    "SegmentStream",
    "Statistics",
    "VideoConfig",
    "recover",
    "split_episodes",
    "statistics",
]
