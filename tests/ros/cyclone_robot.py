"""A stranger on the bus: reads pictures and velocities and sends commands with Cyclone DDS, no part of ROS.

Usage: cyclone_robot.py SECONDS [CAMERA_TOPIC BASE_TOPIC COMMAND_TOPIC]. Prints one JSON object.

The types are written by hand from the ROS message definitions: XCDR1, names as rmw mangles them
(rmw_dds_common, "ROS topic names on DDS": rt/TOPIC, PACKAGE::msg::dds_::TYPE_).
"""

import json
import os
import sys
import time
from dataclasses import dataclass

from cyclonedds.core import Policy, Qos
from cyclonedds.domain import DomainParticipant
from cyclonedds.idl import IdlStruct
from cyclonedds.idl.annotations import final
from cyclonedds.idl.types import float64, int32, sequence, uint8, uint32
from cyclonedds.pub import DataWriter
from cyclonedds.sub import DataReader
from cyclonedds.topic import Topic
from cyclonedds.util import duration


@dataclass
@final
class Time_(IdlStruct, typename="builtin_interfaces.msg.dds_.Time_"):
    sec: int32
    nanosec: uint32


@dataclass
@final
class Header_(IdlStruct, typename="std_msgs.msg.dds_.Header_"):
    stamp: Time_
    frame_id: str


@dataclass
@final
class Vector3_(IdlStruct, typename="geometry_msgs.msg.dds_.Vector3_"):
    x: float64 = 0.0
    y: float64 = 0.0
    z: float64 = 0.0


@dataclass
@final
class Twist_(IdlStruct, typename="geometry_msgs.msg.dds_.Twist_"):
    linear: Vector3_
    angular: Vector3_


@dataclass
@final
class TwistStamped_(IdlStruct, typename="geometry_msgs.msg.dds_.TwistStamped_"):
    header: Header_
    twist: Twist_


@dataclass
@final
class Image_(IdlStruct, typename="sensor_msgs.msg.dds_.Image_"):
    header: Header_
    height: uint32
    width: uint32
    encoding: str
    is_bigendian: uint8
    step: uint32
    data: sequence[uint8]


def main():
    seconds = float(sys.argv[1])
    camera, base, command = sys.argv[2:] or ("camera/image_raw", "cmd_vel", "policy/cmd_vel")
    participant = DomainParticipant(int(os.environ["ROS_DOMAIN_ID"]))
    best_effort = Qos(Policy.Reliability.BestEffort, Policy.History.KeepLast(5))
    reliable = Qos(Policy.Reliability.Reliable(duration(milliseconds=100)), Policy.History.KeepLast(1))
    pictures = DataReader(participant, Topic(participant, f"rt/{camera}", Image_), best_effort)
    velocities = DataReader(participant, Topic(participant, f"rt/{base}", TwistStamped_), reliable)
    commands = DataWriter(participant, Topic(participant, f"rt/{command}", TwistStamped_), reliable)
    seen, speeds = [], []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        now = time.time_ns()
        header = Header_(Time_(now // 10**9, now % 10**9), "base_link")
        commands.write(TwistStamped_(header, Twist_(Vector3_(x=0.25), Vector3_(z=0.5))))
        seen += list(pictures.take(10))
        speeds += [sample.twist.linear.x for sample in velocities.take(100)]
        time.sleep(0.04)
    last = seen[-1] if seen else None
    body = {"pictures": len(seen), "speeds": speeds}
    if last is not None:
        body |= {"encoding": last.encoding, "size": [last.width, last.height], "frame": last.header.frame_id}
        body |= {"colours": len(set(last.data)), "bytes": len(last.data), "stamp": last.header.stamp.sec}
    print(json.dumps(body))


main()
