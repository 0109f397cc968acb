"""The set of nodes that `embodied deploy CONFIG` starts, from the same file, inside a colcon workspace.

::

    ros2 launch engram_bringup engram.launch.py config:=habitat_robot checkpoint:=runs/p0 episodes:=...
"""

import tempfile
from pathlib import Path

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction, Shutdown
from launch.substitutions import LaunchConfiguration

from embodied import config as configs
from ros.deploy import NEVER, DeployConfig, command_of

_PASSED_ON = ("checkpoint", "episodes", "memory", "namespace")


def _nodes(context):
    given = {name: LaunchConfiguration(name).perform(context) for name in ("config", *_PASSED_ON)}
    overrides = [f"{name}={given[name]}" for name in _PASSED_ON if given[name]]
    config = configs.load(DeployConfig, configs.find(given["config"]), overrides)
    folder = Path(tempfile.mkdtemp(prefix="engram-launch-"))  # the parameter files, kept for respawns
    return [
        ExecuteProcess(
            name=name,
            cmd=command_of(config, name, node, folder),
            output="screen",
            respawn=node.restart != NEVER,
            respawn_delay=1.0,
            on_exit=[Shutdown(reason=f"{name} ended")] if node.restart == NEVER else None,
        )
        for name, node in config.node_configs().items()
    ]


def generate_launch_description():
    help = "a config of `embodied deploy`: a path, or a name"
    arguments = [DeclareLaunchArgument("config", default_value="habitat_robot", description=help)]
    arguments += [DeclareLaunchArgument(name, default_value="", description=f"its {name}") for name in _PASSED_ON]
    return LaunchDescription([*arguments, OpaqueFunction(function=_nodes)])
