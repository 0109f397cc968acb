"""Tabletop manipulation: a floating gripper, buttons and cubes in Bullet, and four tasks whose current frame does not
tell what to do. Importing this package registers its data set, action, sensors, measures and tasks with habitat-lab.

`bench` has the physical things, `tasks` the rules, `expert` the scripted expert, `entities` the rest. The episode files
and meshes are made by `sim.manipulation` on the client's side.
"""

from . import configs, dataset, entities, expert, tasks  # noqa: F401
