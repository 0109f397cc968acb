"""The scripted expert, as a sensor: for every state the action that goes on with the task from there.

It knows what the cue showed. It is a function of the task's state alone (where things are, how many stages are done),
so its answer is a good label in states that a learner reached, too. While the cue plays, and wherever it has to wait,
it stands still: its displacement is zero and its gripper command stays what it is.
"""

from typing import Any

import numpy as np
from gym import spaces
from habitat.core.registry import registry

from .bench import BUTTON_TOP_M, BUTTON_TRAVEL_M, CLEAR_M, CUBE_M
from .entities import _TaskSensor
from .tasks import HOME

OPEN, CLOSE = -1.0, 1.0
_TRAVEL_M = 0.11
"""Height at which it crosses the table."""
_PRESS_TRAVEL_M = 0.075
_ABOVE_M = 0.012
"""It goes down once it is this near the vertical above its target."""
_STRAY_M = 0.022
"""Once low, it rises again only if it is farther from that vertical than this."""
_EXACT_M = 0.008
"""It closes and opens this near its target. Undisturbed it goes down along a straight line and arrives within 1 mm:
where a cube lies in the tray must not tell where it came from.
"""
_DOWN_M = CUBE_M / 2.0 + 0.0025
"""The middle of a cube that is held but as good as on the table."""
_GRASP_HEIGHT_M = 0.016
_LIFT_M = 0.16


@registry.register_sensor
class ExpertActionSensor(_TaskSensor):
    """What the scripted expert would do now ([7] float32, as the action)."""

    cls_uuid = "expert_action"

    def _get_observation_space(self, *args: Any, **kwargs: Any) -> Any:
        return spaces.Box(-1.0, 1.0, shape=(7,), dtype=np.float32)

    def get_observation(self, *args: Any, **kwargs: Any) -> np.ndarray:
        task = self._task
        action = _EXPERTS[task.variant](task)
        action[5] = np.clip(-task.bench.gripper.yaw / task.actions["end_effector_delta"].radians_per_step, -1.0, 1.0)
        return action.astype(np.float32)


def _press_in_order(task: Any) -> np.ndarray:
    if not task.may_go or task.solved or task.failure:
        return _stay(CLOSE)
    return _press(task, task.target)


def _press_n_times(task: Any) -> np.ndarray:
    if not task.may_go or task.solved or task.failure:
        return _stay(CLOSE)
    if task.presses < task.count:
        return _press(task, task.button)
    return _go(task, HOME, CLOSE, _PRESS_TRAVEL_M)


def _pick_shown_colour(task: Any) -> np.ndarray:
    target = task.cubes[task.target]
    held = task.bench.gripper.held
    if not task.may_go or task.solved or task.failure:
        return _stay(OPEN if held is None else CLOSE)
    if held is target:
        return _up(task, _LIFT_M, CLOSE)
    return _pick(task, target)


def _put_back(task: Any) -> np.ndarray:
    gripper = task.bench.gripper
    if task.solved or task.failure:
        return _stay(OPEN)
    if gripper.held is not None:
        return _put(task, task.pads[task.home] if task.may_go else task.tray)
    if task.tray_since is not None and not task.may_go:
        return _up(task, _LIFT_M, OPEN)
    return _pick(task, task.cube) if not _resting_in_tray(task) or task.may_go else _up(task, _LIFT_M, OPEN)


def _resting_in_tray(task: Any) -> bool:
    return float(np.hypot(*(task.cube.position - task.tray)[:2])) < 0.03


_EXPERTS = {
    "press_in_order": _press_in_order,
    "put_back": _put_back,
    "pick_shown_colour": _pick_shown_colour,
    "press_n_times": _press_n_times,
}


# -- motions ---------------------------------------------------------------------------------------------------------


def _press(task: Any, button: Any) -> np.ndarray:
    """Over the button and down; up again wherever it is down, or not yet ready to be pressed again."""
    position = task.bench.gripper.position
    down = [other for other in task.bench.buttons if not other.armed and other.is_under(position)]
    if down and (button in down or position[2] <= CLEAR_M):
        return _up(task, _PRESS_TRAVEL_M, CLOSE)
    bottom = np.array([button.position[0], button.position[1], BUTTON_TOP_M - BUTTON_TRAVEL_M])
    return _go(task, bottom, CLOSE, _PRESS_TRAVEL_M)


def _pick(task: Any, cube: Any) -> np.ndarray:
    """Open, over the cube, down, close."""
    gripper = task.bench.gripper
    goal = cube.position
    goal[2] = max(goal[2] - 0.01, _GRASP_HEIGHT_M)
    if gripper.opening < 0.9 and not (gripper.closing and _is_at(gripper.position, goal)):
        return _up(task, _TRAVEL_M, OPEN)
    if _is_at(gripper.position, goal):
        return _stay(CLOSE)
    return _go(task, goal, OPEN, _TRAVEL_M)


def _put(task: Any, place: np.ndarray) -> np.ndarray:
    """What is held: over the place, down, open."""
    gripper = task.bench.gripper
    goal = np.array([place[0], place[1], _GRASP_HEIGHT_M])
    cube = gripper.held.position
    goal[:2] += (gripper.position - cube)[:2]
    if cube[2] < _DOWN_M and np.hypot(*(gripper.position - goal)[:2]) < _EXACT_M:
        return _stay(OPEN)
    return _go(task, goal, CLOSE, _TRAVEL_M)


def _go(task: Any, goal: np.ndarray, command: float, travel_m: float) -> np.ndarray:
    """Towards `goal`: up to the travel height if low and not above it, across, then straight down."""
    position = task.bench.gripper.position
    aside_m = float(np.hypot(*(goal - position)[:2]))
    is_low = position[2] < travel_m - 0.03
    if aside_m < (_STRAY_M if is_low else _ABOVE_M) or goal[2] >= travel_m:
        return _towards(task, goal, command)
    if is_low:
        return _up(task, travel_m, command)
    return _towards(task, np.array([goal[0], goal[1], travel_m]), command)


def _up(task: Any, height_m: float, command: float) -> np.ndarray:
    position = task.bench.gripper.position
    return _towards(task, np.array([position[0], position[1], max(height_m, 0.0)]), command)


def _towards(task: Any, goal: np.ndarray, command: float) -> np.ndarray:
    """A proportional controller that arrives in the fewest steps, along a straight line."""
    away = (goal - task.bench.gripper.position) / task.actions["end_effector_delta"].metres_per_step
    away = away / max(1.0, float(np.abs(away).max()))
    return np.array([*away, 0.0, 0.0, 0.0, command])


def _stay(command: float) -> np.ndarray:
    return np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, command])


def _is_at(position: np.ndarray, goal: np.ndarray) -> bool:
    return bool(np.hypot(*(goal - position)[:2]) < _EXACT_M and abs(goal[2] - position[2]) < 0.006)
