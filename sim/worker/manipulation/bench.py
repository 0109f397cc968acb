"""What stands on the table: a pool of objects, the gripper, buttons and lamps. The tasks' rules are in `tasks`.

Frame of every position here (REP 103): metres from the tabletop's middle, x forward (from the gripper's side to the
camera's), y left, z up.
"""

import glob
import json
import os
from typing import Any, Dict, List, Optional, Tuple

import habitat_sim
import magnum
import numpy as np

from .. import checks
from ..server import TaskError

SUBSTEPS = 12
"""Physics steps of 8 ms (habitat-sim's own) in one control step of 0.1 s."""
WORKSPACE = (np.array([-0.25, -0.33, 0.012]), np.array([0.27, 0.33, 0.30]))
"""Where the tool point may go (m)."""
CUBE_M = 0.05
BUTTON_RADIUS_M = 0.034
BUTTON_TOP_M = 0.036
BUTTON_TRAVEL_M = 0.015
RING_STEPS = 5
"""A pressed button's ring stays lit for at least this many steps, so that who looks at every fifth sees it."""
CLEAR_M = 0.055
"""A button can be pressed again once the tool point was above this height."""

_GAP_M = 0.08
_OPENING_PER_STEP = 0.5
_CLOSED_ENOUGH = 0.5
_PRESSED_M = 0.010
_FINGER_HALF_M = np.array([0.012, 0.005])  # along and across the direction in which the fingers move
_FINGER_MIDDLE_M = 0.047
_GRASP_M = (0.022, 0.024, 0.026)
"""The gripper takes a cube whose middle is this near the tool point: across the fingers, between them, in height."""
_SKIN_M = 0.001
"""Bullet keeps things this far apart (the margin in the assets' configs)."""
_PARKED = magnum.Vector3(0.0, -50.0, 0.0)
_UP = magnum.Vector3(0.0, 1.0, 0.0)


class Thing:
    """One object of the simulator, moved only when its pose changes."""

    def __init__(self, body: Any, template: str) -> None:
        self.body = body
        self.template = template
        self._pose: Optional[Tuple[float, float, float, float]] = None

    def place(self, x: float, y: float, z: float, yaw: float = 0.0) -> None:
        pose = (x, y, z, yaw)
        if pose == self._pose:
            return
        self.body.translation = magnum.Vector3(-y, z, -x)
        if self._pose is None or self._pose[3] != yaw:
            self.body.rotation = magnum.Quaternion.rotation(magnum.Rad(yaw), _UP)
        self._pose = pose

    def let_go(self) -> None:
        """From here on Bullet moves it."""
        self.body.motion_type = habitat_sim.physics.MotionType.DYNAMIC
        self.body.linear_velocity = magnum.Vector3(0.0, 0.0, 0.0)
        self.body.angular_velocity = magnum.Vector3(0.0, 0.0, 0.0)
        self.body.awake = True
        self._pose = None

    def park(self) -> None:
        """Out of sight, below the room."""
        if self._pose is not None:
            self.body.translation = _PARKED
            self._pose = None

    @property
    def position(self) -> np.ndarray:
        at = self.body.translation
        return np.array([-at[2], -at[0], at[1]])


class Switch:
    """Something with several looks at one place, of which one is shown: a lamp, a pad, a button's cap."""

    def __init__(self, looks: Dict[str, Thing], x: float, y: float, shown: str) -> None:
        self._looks = looks
        self._x, self._y, self._z = x, y, 0.0
        self.shown = ""
        self.show(shown)

    def show(self, look: str) -> None:
        if look == self.shown:
            return
        if self.shown:
            self._looks[self.shown].park()
        self.shown = look
        self._looks[look].place(self._x, self._y, self._z)

    def lift(self, z: float) -> None:
        self._z = z
        self._looks[self.shown].place(self._x, self._y, z)


class Button:
    """A cap that gives way under the closed gripper and springs back.

    It counts as pressed once it is 1 cm down; then its ring lights up, for RING_STEPS and until the gripper was above
    CLEAR_M, and only after that it can be pressed again.
    """

    def __init__(self, bench: "Bench", colour: str, position: Any) -> None:
        self.position = np.array([position[0], position[1], 0.0])
        x, y = float(position[0]), float(position[1])
        name = "button_" + colour
        self._cap = Switch({"unlit": bench.take(name), "lit": bench.take(name + "_lit")}, x, y, "unlit")
        self._base = Switch({"up": bench.take("button_base"), "down": bench.take("button_base_down")}, x, y, "up")
        self.armed = True
        self._cleared = True
        self._ring_left = 0
        self._depth_m = 0.0

    @property
    def lit(self) -> bool:
        return self._cap.shown == "lit"

    def light(self, on: bool) -> None:
        self._cap.show("lit" if on else "unlit")

    def is_under(self, position: np.ndarray) -> bool:
        return float(np.hypot(*(position[:2] - self.position[:2]))) < BUTTON_RADIUS_M

    def feel(self, gripper: "Gripper") -> bool:
        """Follows the fingertips for a moment; True when that presses it."""
        depth_m = 0.0
        if gripper.opening < _CLOSED_ENOUGH and self.is_under(gripper.position):
            depth_m = min(max(BUTTON_TOP_M - float(gripper.position[2]), 0.0), BUTTON_TRAVEL_M)
        if depth_m != self._depth_m:
            self._depth_m = depth_m
            self._cap.lift(-depth_m)
        if depth_m < _PRESSED_M or not self.armed:
            return False
        self.armed = self._cleared = False
        self._ring_left = RING_STEPS
        self._base.show("down")
        return True

    def tick(self, gripper: "Gripper") -> None:
        """Once a control step."""
        if self.armed:
            return
        self._cleared = self._cleared or float(gripper.position[2]) > CLEAR_M
        self._ring_left -= 1
        if self._cleared and self._ring_left <= 0:
            self.armed = True
            self._base.show("up")


class Gripper:
    """Kinematic: it goes where it is told. Its fingers push cubes aside; between them, closed, a cube is held."""

    def __init__(self, bench: "Bench") -> None:
        self._palm = bench.take("palm")
        self._fingers = (bench.take("finger"), bench.take("finger"))
        self.position = np.zeros(3)
        self.yaw = 0.0
        self.opening = 1.0
        self.closing = False
        self.held: Optional[Thing] = None
        self._grasp = np.zeros(3)

    def place(self) -> None:
        x, y, z = (float(v) for v in self.position)
        self._palm.place(x, y, z, self.yaw)
        out_m = self.opening * _GAP_M / 2.0 + _FINGER_HALF_M[1]
        dx, dy = -np.sin(self.yaw) * out_m, np.cos(self.yaw) * out_m
        self._fingers[0].place(x + dx, y + dy, z + _FINGER_MIDDLE_M, self.yaw)
        self._fingers[1].place(x - dx, y - dy, z + _FINGER_MIDDLE_M, self.yaw)
        if self.held is not None:
            offset = self.to_table(self._grasp)
            self.held.place(x + offset[0], y + offset[1], z + offset[2], self.yaw)

    def to_table(self, offset: np.ndarray) -> np.ndarray:
        c, s = np.cos(self.yaw), np.sin(self.yaw)
        return np.array([c * offset[0] - s * offset[1], s * offset[0] + c * offset[1], offset[2]])

    def from_table(self, offset: np.ndarray) -> np.ndarray:
        c, s = np.cos(self.yaw), np.sin(self.yaw)
        return np.array([c * offset[0] + s * offset[1], -s * offset[0] + c * offset[1], offset[2]])

    def grasp(self, cubes: List[Thing]) -> None:
        """Takes the cube between the fingers, if there is one and they have closed on it."""
        for cube in cubes:
            offset = self.from_table(cube.position - self.position)
            inside = abs(offset[0]) < _GRASP_M[0] and abs(offset[1]) < _GRASP_M[1] and abs(offset[2]) < _GRASP_M[2]
            if inside and self.opening * _GAP_M <= CUBE_M + _SKIN_M:
                self.opening = (CUBE_M + _SKIN_M) / _GAP_M
                self._grasp = np.array([offset[0], 0.0, offset[2]])
                self.held = cube
                cube.body.motion_type = habitat_sim.physics.MotionType.KINEMATIC
                return

    def release(self) -> None:
        cube, self.held = self.held, None
        if cube is not None:
            cube.let_go()


class Bench:
    """The table with everything on it. Objects are kept from episode to episode and parked while not needed.

    Raises:
        TaskError: an object's files are missing or damaged.
    """

    def __init__(self, sim: Any) -> None:
        self._sim = sim
        self._check_files()
        self._free: Dict[str, List[Thing]] = {}
        self._used: List[Thing] = []
        self.cubes: List[Thing] = []
        self.buttons: List[Button] = []
        self.pressed: List[Button] = []
        """Buttons pressed in the step just taken."""
        self.gripper = Gripper(self)

    # -- objects -------------------------------------------------------------------------------------------------

    def take(self, template: str) -> Thing:
        """A kinematic object, parked until it is placed."""
        free = self._free.get(template)
        thing = free.pop() if free else self._add(template)
        self._used.append(thing)
        return thing

    def cube(self, colour: str, x: float, y: float) -> Thing:
        """A dynamic cube, resting on the table."""
        thing = self._add("cube_" + colour)
        thing.place(x, y, CUBE_M / 2.0 + _SKIN_M)
        thing.let_go()
        self.cubes.append(thing)
        return thing

    def button(self, colour: str, position: Any) -> Button:
        made = Button(self, colour, position)
        self.buttons.append(made)
        return made

    def switch(self, looks: Dict[str, str], position: Any, shown: str) -> Switch:
        return Switch(
            {look: self.take(name) for look, name in looks.items()}, float(position[0]), float(position[1]), shown
        )

    def clear(self, gripper_at: Any, opening: float) -> None:
        """An empty table, and the gripper where an episode begins."""
        manager = self._sim.get_rigid_object_manager()
        for cube in self.cubes:
            manager.remove_object_by_id(cube.body.object_id)
        for thing in self._used:
            thing.park()
            self._free.setdefault(thing.template, []).append(thing)
        for free in self._free.values():  # the same episode gets the same objects whatever ran before
            free.sort(key=lambda thing: -thing.body.object_id)
        self._used, self.cubes, self.buttons, self.pressed = [], [], [], []
        self.gripper = Gripper(self)
        self.gripper.position = np.array([float(v) for v in gripper_at])
        self.gripper.opening = opening
        self.gripper.closing = opening < _CLOSED_ENOUGH
        self.gripper.place()

    def _add(self, template: str) -> Thing:
        """A new kinematic object, out of sight."""
        manager = self._sim.get_rigid_object_manager()
        handles = self._sim.get_object_template_manager().get_template_handles("/" + template + ".object_config.json")
        if not handles:
            raise TaskError(
                "{} has no object '{}': write the assets again (sim.manipulation.write_assets)".format(
                    self._root(), template
                )
            )
        thing = Thing(manager.add_object_by_template_handle(handles[0], light_setup_key="no_lights"), template)
        thing.body.motion_type = habitat_sim.physics.MotionType.KINEMATIC
        thing.body.translation = _PARKED
        return thing

    def _root(self) -> str:
        return os.path.dirname(self._sim.habitat_config.scene_dataset)

    def _check_files(self) -> None:
        """A cut mesh is named before the simulator aborts on it."""
        for path in sorted(glob.glob(os.path.join(self._root(), "objects", "*.object_config.json"))):
            try:
                with open(path, encoding="utf-8") as file:
                    mesh = os.path.join(os.path.dirname(path), json.load(file)["render_asset"])
            except (ValueError, KeyError, TypeError) as error:
                raise TaskError("object {} is damaged: {!r}".format(path, error)) from error
            if not os.path.exists(mesh):
                raise TaskError("object {} needs {}, which is missing".format(path, mesh))
            checks.check_glb(mesh)

    # -- motion --------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        for _ in range(SUBSTEPS):
            self._sim.step_world(-1.0)

    def move(self, displacement: np.ndarray, turn: float, command: float) -> None:
        """One control step: the gripper moves by `displacement` (m), turns (rad), and closes or opens."""
        gripper = self.gripper
        if command:
            gripper.closing = command > 0.0
        goal = np.clip(gripper.position + displacement, *WORKSPACE)
        step, turn_step = (goal - gripper.position) / SUBSTEPS, turn / SUBSTEPS
        self.pressed = []
        for _ in range(SUBSTEPS):
            gripper.position = self._not_into(gripper.position, gripper.position + step)
            gripper.yaw += turn_step
            self._work_fingers()
            gripper.place()
            for button in self.buttons:
                if button.feel(gripper):
                    self.pressed.append(button)
            self._sim.step_world(-1.0)
        for button in self.buttons:
            button.tick(gripper)

    def _work_fingers(self) -> None:
        gripper = self.gripper
        change = _OPENING_PER_STEP / SUBSTEPS
        if not gripper.closing:
            gripper.release()
            gripper.opening = min(1.0, gripper.opening + change)
        elif gripper.held is None:
            gripper.opening = max(0.0, gripper.opening - change)
            gripper.grasp(self.cubes)

    def _not_into(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """Fingertips stop on a cube's top and on a button that is all the way down; a held cube stops on the table."""
        gripper = self.gripper
        half_m = CUBE_M / 2.0
        out_m = gripper.opening * _GAP_M / 2.0 + _FINGER_HALF_M[1]
        # What reaches down: (across, between, half sizes, how far below the tool point).
        feet = [(0.0, side * out_m, _FINGER_HALF_M[0], _FINGER_HALF_M[1], 0.0) for side in (1.0, -1.0)]
        floor_m = 0.0
        if gripper.held is not None:
            below_m = half_m - float(gripper._grasp[2])
            feet.append((float(gripper._grasp[0]), 0.0, half_m, half_m, below_m))
            floor_m = below_m
        if gripper.opening < _CLOSED_ENOUGH and any(button.is_under(after) for button in self.buttons):
            floor_m = BUTTON_TOP_M - BUTTON_TRAVEL_M
        for cube in self.cubes:
            if cube is gripper.held:
                continue
            middle = cube.position
            offset = gripper.from_table(middle - after)
            top_m = float(middle[2]) + half_m
            for x, y, half_x, half_y, below_m in feet:
                is_over = abs(offset[0] - x) < half_m + half_x and abs(offset[1] - y) < half_m + half_y
                if is_over and before[2] - below_m > top_m - 0.004:
                    floor_m = max(floor_m, top_m + below_m)
        if after[2] < floor_m:
            after = np.array([after[0], after[1], min(float(before[2]), floor_m)])
        return after
