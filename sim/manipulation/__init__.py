"""Tabletop manipulation tasks that need memory: what they are called, their objects and their episode files.

The tasks themselves run in the simulator's process (`sim/worker/manipulation`). Here are the files that they read:
`write_assets` makes the table and the objects, `write_episodes` an episode file.
"""

from sim.manipulation.assets import COLOURS, write_assets
from sim.manipulation.episodes import INSTRUCTIONS, TASKS, draw_episode, write_episodes

__all__ = ["COLOURS", "INSTRUCTIONS", "TASKS", "draw_episode", "write_assets", "write_episodes"]
