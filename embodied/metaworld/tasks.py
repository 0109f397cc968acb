"""Meta-World's fifty tasks, in words. The package has names and no instructions."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from embodied.metaworld.errors import MetaWorldError

INSTRUCTIONS = {
    "assembly-v3": "pick up the nut and place it onto the peg",
    "basketball-v3": "put the basketball through the hoop",
    "bin-picking-v3": "move the puck from one bin to the other",
    "box-close-v3": "pick up the lid and close the box with it",
    "button-press-topdown-v3": "press the button from the top",
    "button-press-topdown-wall-v3": "go around the wall and press the button from the top",
    "button-press-v3": "press the button from the front",
    "button-press-wall-v3": "go around the wall and press the button from the front",
    "coffee-button-v3": "press the button of the coffee machine",
    "coffee-pull-v3": "pull the mug away from the coffee machine",
    "coffee-push-v3": "push the mug under the coffee machine",
    "dial-turn-v3": "turn the dial",
    "disassemble-v3": "lift the nut off the peg",
    "door-close-v3": "close the door",
    "door-lock-v3": "lock the door by turning the lock clockwise",
    "door-open-v3": "open the door",
    "door-unlock-v3": "unlock the door by turning the lock counter-clockwise",
    "drawer-close-v3": "push the drawer closed",
    "drawer-open-v3": "pull the drawer open",
    "faucet-close-v3": "turn the faucet clockwise",
    "faucet-open-v3": "turn the faucet counter-clockwise",
    "hammer-v3": "hit the nail with the hammer",
    "hand-insert-v3": "put the gripper into the hole",
    "handle-press-side-v3": "press the handle down from the side",
    "handle-press-v3": "press the handle down",
    "handle-pull-side-v3": "pull the handle up from the side",
    "handle-pull-v3": "pull the handle up",
    "lever-pull-v3": "pull the lever up",
    "peg-insert-side-v3": "insert the peg into the hole from the side",
    "peg-unplug-side-v3": "pull the peg out sideways",
    "pick-out-of-hole-v3": "pick the puck out of the hole",
    "pick-place-v3": "pick up the puck and bring it to the goal",
    "pick-place-wall-v3": "pick up the puck and bring it over the wall to the goal",
    "plate-slide-back-side-v3": "slide the plate out of the cabinet sideways",
    "plate-slide-back-v3": "slide the plate out of the cabinet",
    "plate-slide-side-v3": "slide the plate into the cabinet sideways",
    "plate-slide-v3": "slide the plate into the cabinet",
    "push-back-v3": "pull the puck back to the goal",
    "push-v3": "push the puck to the goal",
    "push-wall-v3": "push the puck around the wall to the goal",
    "reach-v3": "reach the goal",
    "reach-wall-v3": "reach the goal behind the wall",
    "shelf-place-v3": "put the puck onto the shelf",
    "soccer-v3": "kick the ball into the goal",
    "stick-pull-v3": "grasp the stick and pull the container with it",
    "stick-push-v3": "grasp the stick and push the container with it",
    "sweep-into-v3": "sweep the puck into the hole",
    "sweep-v3": "sweep the puck off the table",
    "window-close-v3": "slide the window closed",
    "window-open-v3": "slide the window open",
}

DEFAULT_TASKS = (
    "button-press-topdown-v3",
    "door-open-v3",
    "drawer-close-v3",
    "drawer-open-v3",
    "window-close-v3",
    "window-open-v3",
)
"""Those of MT10, the published set of ten, that one camera shows well and whose expert never fails. Left out: reach,
push and pick-place, whose goal is a ball of four pixels, and peg-insert-side, whose expert often fails."""


def check_tasks(tasks: Sequence[str]) -> None:
    """Raises MetaWorldError if one of them does not exist, or there is none."""
    if not tasks:
        raise MetaWorldError("tasks: name one at least, e.g. drawer-open-v3")
    for task in tasks:
        if task not in INSTRUCTIONS:
            near = difflib.get_close_matches(task, INSTRUCTIONS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(INSTRUCTIONS)}"
            raise MetaWorldError(f"tasks: Meta-World has no task '{task}'; {hint}")
