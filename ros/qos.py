"""Quality of service of all topics, by REP 2003: drivers send sensor data reliably, its readers take what comes.

Commands are reliable; what is said once is kept for those who come later.
"""

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy, qos_profile_sensor_data

SENSOR_WRITER = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=5, reliability=ReliabilityPolicy.RELIABLE)
"""A driver's sensor data: any reader matches."""
SENSOR_READER = qos_profile_sensor_data
"""A consumer's: best effort, so that a slow or lossy link drops pictures and never delays them."""
COMMAND = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1, reliability=ReliabilityPolicy.RELIABLE)
"""Velocities: only the newest counts."""
COMMAND_READER = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=10, reliability=ReliabilityPolicy.RELIABLE)
"""The safety gate's reader: deep enough to notice a flood."""
LATCHED = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
"""A goal, a result, a state: the last one reaches whoever comes later."""
DIAGNOSTICS = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=10, reliability=ReliabilityPolicy.RELIABLE)
