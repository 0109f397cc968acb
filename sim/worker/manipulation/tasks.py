"""The four tabletop tasks and their rules.

Timeline of one step::

    action -> 12 physics steps: the gripper moves, buttons give way, cubes fall
           -> rules: what was pressed or put where; success, failure; what lights up next
           -> picture, state and the expert's action for what is now to be seen

In every task a lamp in the corner tells when the cue is over: dark means wait, green means go (in `put_back`: bring it
back). What the cue said is in no later frame, unless the config's `cue` is `visible`: the matched twin, in which all
else is equal.
"""

from typing import Any, Dict, List, Optional

import numpy as np
from habitat.config import read_write
from habitat.config.default import get_agent_config
from habitat.core.embodied_task import EmbodiedTask
from habitat.core.registry import registry

from ..server import TaskError
from .bench import CUBE_M, Bench, Switch, Thing
from .dataset import MOST_PRESSES

HOME = np.array([-0.17, 0.0, 0.16])
"""Where `press_n_times` ends; episodes begin within a few centimetres of it."""
CARD_AT = (0.235, 0.0)
BLINKER_AT = (0.235, -0.055)
DISPLAY_AT = (0.235, 0.16)
LAMP_AT = (0.235, -0.24)

LIT_STEPS = 5
"""A button of the sequence is lit for this long, as is a blink; between two it is dark for GAP_STEPS."""
GAP_STEPS = 2
DARK_STEPS = 5
_HOME_RADIUS_M = 0.035
_HOME_STEPS = 3
_LIFTED_M = 0.08
_LIFTED_WRONG_M = 0.03
_LIFTED_STEPS = 3
_ON_PAD_M = 0.045
_STILL_M = 0.0015
_LAMP = {"off": "lamp_off", "go": "lamp_go"}


class TabletopTask(EmbodiedTask):
    """What the four tasks share. A subclass sets the table in `_set_up` and rules in `_rule`."""

    needs_navmesh = False
    variant = ""
    starts_open = True

    def __init__(self, config: Any, sim: Any, dataset: Optional[Any] = None) -> None:
        self.cue_visible = str(config.cue) == "visible"
        if str(config.cue) not in ("remembered", "visible"):
            raise TaskError("habitat.task.cue must be remembered or visible, not '{}'".format(config.cue))
        for episode in getattr(dataset, "episodes", ()):
            found = (getattr(episode, "info", None) or {}).get("task")
            if found != self.variant:
                raise TaskError(
                    "episode {} is of task '{}', the config runs '{}': give sim.episodes a file of that task".format(
                        episode.episode_id, found, self.variant
                    )
                )
        self.bench = Bench(sim)
        self.solved = False
        self.failure = ""
        self.progress = 0.0
        super().__init__(config=config, sim=sim, dataset=dataset)

    def overwrite_sim_config(self, config: Any, episode: Any) -> Any:
        with read_write(config):
            config.simulator.scene = episode.scene_id
            stand = get_agent_config(config.simulator)  # of the camera
            stand.start_position, stand.start_rotation = episode.start_position, episode.start_rotation
            stand.is_set_start_state = True
        return config

    def reset(self, episode: Any) -> Any:
        self._sim.reset()
        self.info: Dict[str, Any] = episode.info
        self.steps = 0
        self.solved, self.failure, self.progress = False, "", 0.0
        self.bench.clear(self.info["gripper"], 1.0 if self.starts_open else 0.0)
        self.lamp = self.bench.switch(_LAMP, LAMP_AT, "off")
        self._set_up()
        self.bench.settle()
        self._show()
        for action in self.actions.values():
            action.reset(episode=episode, task=self)
        self._is_episode_active = True
        return self._observe(episode)

    def step(self, action: Dict[str, Any], episode: Any) -> Any:
        self._step_single_action(action["action"], action, episode)
        self.steps += 1
        self._rule()
        self._show()
        observations = self._observe(episode)
        self._is_episode_active = not (self.solved or self.failure)
        return observations

    def _observe(self, episode: Any) -> Any:
        observations = self._sim.step(None)
        observations.update(self.sensor_suite.get_observations(observations=observations, episode=episode, task=self))
        return observations

    @property
    def cue_start(self) -> int:
        """The step at which the cue begins."""
        return int(self.info["wait_steps"])

    @property
    def cue_end(self) -> int:
        """The step at which the cue is over and the lamp turns green."""
        raise NotImplementedError

    @property
    def may_go(self) -> bool:
        return self.steps >= self.cue_end

    def _set_up(self) -> None:
        raise NotImplementedError

    def _rule(self) -> None:
        """Judges the step just taken: sets `solved`, `failure` and `progress`."""
        raise NotImplementedError

    def _show(self) -> None:
        """Lights whatever is lit in the next frame."""
        self.lamp.show("go" if self.may_go else "off")

    def _fallen(self) -> bool:
        return any(cube.position[2] < 0.0 or not np.isfinite(cube.position).all() for cube in self.bench.cubes)


@registry.register_task(name="PressInOrder-v0")
class PressInOrderTask(TabletopTask):
    """Three or four buttons light up one after the other; then they are to be pressed in that order.

    Twin: from the cue's end the button to press next is lit. Failure: another button is pressed, or any too early.
    """

    variant = "press_in_order"
    starts_open = False

    def _set_up(self) -> None:
        self.buttons = [self.bench.button(b["colour"], b["position"]) for b in self.info["buttons"]]
        self.order: List[int] = list(self.info["order"])
        self.done = 0

    @property
    def cue_end(self) -> int:
        return self.cue_start + len(self.info["order"]) * (LIT_STEPS + GAP_STEPS)

    @property
    def target(self) -> Any:
        return self.buttons[self.order[self.done]]

    def _rule(self) -> None:
        for button in self.bench.pressed:
            if self.steps <= self.cue_end:
                self.failure = "a button was pressed before the cue was over"
            elif button is not self.target:
                self.failure = "a wrong button was pressed"
            else:
                self.done += 1
            if self.done == len(self.order):
                self.solved = True
                break
        self.progress = self.done / len(self.order)

    def _show(self) -> None:
        super()._show()
        lit = None
        place, phase = divmod(self.steps - self.cue_start, LIT_STEPS + GAP_STEPS)
        if 0 <= place < len(self.order) and phase < LIT_STEPS:
            lit = self.order[place]
        elif self.may_go and self.cue_visible and not self.solved:
            lit = self.order[self.done]
        for index, button in enumerate(self.buttons):
            button.light(index == lit)


@registry.register_task(name="PutBack-v0")
class PutBackTask(TabletopTask):
    """A cube goes from its pad to the tray, waits there for the green lamp, and goes back to the pad where it was.

    Twin: its pad is marked. Failure: it is put down on another pad after the lamp turned green, or falls off the table.
    """

    variant = "put_back"

    def _set_up(self) -> None:
        info = self.info
        self.pads = [np.array([*pad, 0.0]) for pad in info["pads"]]
        self.tray = np.array([*info["tray"], 0.0])
        self.home = int(info["home"])
        for index, pad in enumerate(info["pads"]):
            marked = self.cue_visible and index == self.home
            self.bench.switch({"pad": "pad_marked" if marked else "pad"}, pad, "pad")
        self.bench.switch({"tray": "tray"}, info["tray"], "tray")
        self.cube: Thing = self.bench.cube(info["colour"], *info["pads"][self.home])
        self.tray_since: Optional[int] = None
        self.stage = 0
        self._last = self.cube.position

    @property
    def cue_end(self) -> int:
        return 1 << 30 if self.tray_since is None else self.tray_since + int(self.info["signal_delay"])

    def _rule(self) -> None:
        at = self.cube.position
        held = self.bench.gripper.held is self.cube
        is_down = not held and at[2] < CUBE_M and float(np.linalg.norm(at - self._last)) < _STILL_M
        self._last = at
        if self._fallen():
            self.failure = "the cube fell off the table"
        if self.stage == 0 and held:
            self.stage = 1
        if self.tray_since is None and is_down and _near(at, self.tray):
            self.tray_since = self.steps
            self.stage = 2
        if self.may_go:
            if self.stage == 2 and held:
                self.stage = 3
            if is_down:
                for index, pad in enumerate(self.pads):
                    if _near(at, pad):
                        self.solved = index == self.home
                        self.failure = "" if self.solved else "the cube was put on a wrong pad"
        self.progress = 1.0 if self.solved else self.stage / 4.0


@registry.register_task(name="PickShownColour-v0")
class PickShownColourTask(TabletopTask):
    """A card shows a colour and vanishes; then the cube of that colour is to be lifted (8 cm, for 0.3 s).

    Twin: the card stays. Failure: another cube is lifted, or one falls off the table.
    """

    variant = "pick_shown_colour"

    def _set_up(self) -> None:
        self.cubes = [self.bench.cube(cube["colour"], *cube["position"]) for cube in self.info["cubes"]]
        self.target = int(self.info["target"])
        colour = self.info["cubes"][self.target]["colour"]
        self.card = self.bench.take("card_" + colour)
        self._lifted_steps = 0

    @property
    def cue_end(self) -> int:
        return self.cue_start + int(self.info["cue_steps"])

    def _rule(self) -> None:
        held = self.bench.gripper.held
        lifted_m = 0.0 if held is None else float(held.position[2]) - CUBE_M / 2.0
        if self._fallen():
            self.failure = "a cube fell off the table"
        elif held is not None and held is not self.cubes[self.target] and lifted_m > _LIFTED_WRONG_M:
            self.failure = "a wrong cube was lifted"
        is_target = held is self.cubes[self.target]
        self._lifted_steps = self._lifted_steps + 1 if is_target and lifted_m > _LIFTED_M else 0
        self.solved = not self.failure and self._lifted_steps >= _LIFTED_STEPS
        self.progress = 1.0 if self.solved else 0.5 * float(is_target)

    def _show(self) -> None:
        super()._show()
        if self.steps >= self.cue_start and (self.cue_visible or not self.may_go):
            self.card.place(CARD_AT[0], CARD_AT[1], 0.0, np.pi)
        else:
            self.card.park()


@registry.register_task(name="PressNTimes-v0")
class PressNTimesTask(TabletopTask):
    """A lamp blinks one to four times; then the button is to be pressed that often, and the gripper to return home and
    stay there (within 3.5 cm of HOME for 0.3 s).

    Twin: a display has as many marks lit, and one goes out with each press. Failure: a press too many or too early, or
    home with a press too few.
    """

    variant = "press_n_times"
    starts_open = False

    def _set_up(self) -> None:
        info = self.info
        self.button = self.bench.button(info["button"]["colour"], info["button"]["position"])
        self.count = int(info["count"])
        self.blinker = self.bench.switch({"off": "lamp_off", "on": "lamp_blink"}, BLINKER_AT, "off")
        self.bench.switch({"display": "display"}, DISPLAY_AT, "display")
        self.marks: List[Switch] = [
            self.bench.switch(
                {"off": "mark_off", "on": "mark_on"}, (DISPLAY_AT[0], DISPLAY_AT[1] + 0.096 - 0.064 * place), "off"
            )
            for place in range(MOST_PRESSES)
        ]
        self.presses = 0
        self._home_steps = 0

    @property
    def cue_end(self) -> int:
        return self.cue_start + MOST_PRESSES * (LIT_STEPS + DARK_STEPS)

    def _rule(self) -> None:
        gripper = self.bench.gripper
        if self.bench.pressed:
            self.presses += len(self.bench.pressed)
            if self.steps <= self.cue_end:
                self.failure = "the button was pressed before the cue was over"
            elif self.presses > self.count:
                self.failure = "the button was pressed too often"
        is_home = self.presses > 0 and float(np.linalg.norm(gripper.position - HOME)) < _HOME_RADIUS_M
        self._home_steps = self._home_steps + 1 if is_home else 0
        if self._home_steps >= _HOME_STEPS and not self.failure:
            self.solved = self.presses == self.count
            self.failure = "" if self.solved else "the gripper went home with a press too few"
        self.progress = 1.0 if self.solved else min(self.presses, self.count) / (self.count + 1.0)

    def _show(self) -> None:
        super()._show()
        place, phase = divmod(self.steps - self.cue_start, LIT_STEPS + DARK_STEPS)
        self.blinker.show("on" if 0 <= place < self.count and phase < LIT_STEPS else "off")
        left = self.count - self.presses if self.cue_visible else 0
        for place, mark in enumerate(self.marks):
            mark.show("on" if place < left else "off")


def _near(position: np.ndarray, place: np.ndarray) -> bool:
    return float(np.hypot(*(position[:2] - place[:2]))) < _ON_PAD_M
