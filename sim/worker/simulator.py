"""`EngramSim-v0`: habitat-lab's HabitatSim, over habitat-sim 0.2.2 or 0.3.x, with three things added.

- A configuration step that leaves out what the installed habitat-sim does not know.
- One draw for colour and depth. habitat-sim draws the scene once a sensor; the depth camera's render target can carry a
  colour attachment beside its depth, so a pair of cameras with the same pose, size and field of view is drawn once. The
  frames are identical to those of two draws (checked in tests/sim).
- Semantic ids of a house's instances and a navmesh with its furniture, from the house's own catalogue.

What habitat-lab does at every step beside that is done in less time here where the result is the same: a step in a
small picture costs less to draw than to handle in Python.
"""

import hashlib
import json
import os
import tempfile
from typing import Any, Dict, List, Optional, Tuple

import cv2
import habitat_sim
import numpy as np
from habitat.config.default import get_agent_config
from habitat.core.registry import registry
from habitat.sims.habitat_simulator import habitat_simulator as lab
from habitat_sim._ext import habitat_sim_bindings as bindings

from .server import TaskError

COLOR = habitat_sim.SensorType.COLOR
DEPTH = habitat_sim.SensorType.DEPTH
_SWITCHES_KEPT = 200
"""Generated houses share their objects' files: to keep what is loaded makes a change of house seven times cheaper (70
ms against 500). Everything is dropped once in so many changes, each of which leaves 0.3 MB behind in habitat-sim."""


class _Configuration(habitat_sim.Configuration):
    """habitat-sim 0.2.2's configuration with the one field of 0.3 that HabitatSim reads at every reset."""

    enable_batch_renderer = False


@registry.register_simulator(name="EngramSim-v0")
class EngramSim(lab.HabitatSim):
    """habitat-lab's simulator with the additions that the module's docstring lists."""

    def __init__(self, config: Any) -> None:
        self._paired: Dict[str, str] = {}
        self._catalogue: Optional[Dict[str, Any]] = None
        self._state: Optional[Tuple[Any, habitat_sim.AgentState]] = None
        self._switches = 0
        super().__init__(config)
        self._scene_loaded()

    # -- configuration -------------------------------------------------------------------------------------------

    def create_sim_config(self, _sensor_suite: Any) -> habitat_sim.Configuration:
        if hasattr(habitat_sim.SimulatorConfiguration(), "navmesh_settings"):
            config = super().create_sim_config(_sensor_suite)
        else:
            config = self._create_sim_config_0_2(_sensor_suite)
        is_house = _catalogue_path(self.habitat_config.scene) is not None
        self._rests = is_house and not self.habitat_config.habitat_sim_v0.enable_physics
        if is_house:
            # Else habitat-sim hands out none of a house's objects. They rest, unless physics was asked for.
            config.sim_cfg.enable_physics = True
        return config

    def _create_sim_config_0_2(self, sensor_suite: Any) -> habitat_sim.Configuration:
        """What HabitatSim.create_sim_config does, with the fields that habitat-sim 0.2.2 has."""
        sim_config = habitat_sim.SimulatorConfiguration()
        backend = self.habitat_config.habitat_sim_v0
        for key, value in backend.items():
            if hasattr(sim_config, key):
                setattr(sim_config, key, value)
        sim_config.scene_dataset_config_file = self.habitat_config.scene_dataset
        sim_config.scene_id = self.habitat_config.scene

        lab_agent = get_agent_config(self.habitat_config)
        agent_config = habitat_sim.AgentConfiguration()
        agent_config.height = lab_agent.height
        agent_config.radius = lab_agent.radius
        agent_config.sensor_specifications = [
            self._sensor_specification(sensor) for sensor in sensor_suite.sensors.values()
        ]
        forward = habitat_sim.ActuationSpec(amount=self.habitat_config.forward_step_size)
        turn = habitat_sim.ActuationSpec(amount=self.habitat_config.turn_angle)
        agent_config.action_space = {
            0: habitat_sim.ActionSpec("stop"),
            1: habitat_sim.ActionSpec("move_forward", forward),
            2: habitat_sim.ActionSpec("turn_left", turn),
            3: habitat_sim.ActionSpec("turn_right", turn),
        }
        return _Configuration(sim_config, [agent_config])

    def _sensor_specification(self, sensor: Any) -> Any:
        specification = sensor._get_default_spec()
        lab.overwrite_config(
            config_from=sensor.config,
            config_to=specification,
            ignore_keys=sensor._config_ignore_keys,
            trans_dict={
                "sensor_model_type": lambda value: getattr(habitat_sim.FisheyeSensorModelType, value),
                "sensor_subtype": lambda value: getattr(habitat_sim.SensorSubType, value),
            },
        )
        specification.uuid = sensor.uuid
        specification.resolution = list(sensor.observation_space.shape[:2])
        specification.sensor_type = sensor.sim_sensor_type
        specification.gpu2gpu_transfer = self.habitat_config.habitat_sim_v0.gpu_gpu
        return specification

    # -- scenes --------------------------------------------------------------------------------------------------

    def reconfigure(self, habitat_config: Any, ep_info: Any = None, should_close_on_new_scene: bool = True) -> None:
        if habitat_config.scene == self._current_scene:
            self.habitat_config = habitat_config
            self._update_agents_state()
            return
        self._switches += 1
        if _catalogue_path(habitat_config.scene) is not None and self._switches % _SWITCHES_KEPT != 0:
            should_close_on_new_scene = False
        super().reconfigure(habitat_config, ep_info, should_close_on_new_scene)
        self._scene_loaded()

    def _scene_loaded(self) -> None:
        self._state = None
        self._pair_cameras()
        self._catalogue = _read_catalogue(self._current_scene)
        if self._catalogue is not None:
            self._name_instances(self._catalogue)

    @property
    def catalogue(self) -> Optional[Dict[str, Any]]:
        """The loaded house's catalogue (`houses/NAME.json`), None for a scene that Engram did not generate."""
        return self._catalogue

    def _name_instances(self, catalogue: Dict[str, Any]) -> None:
        """Gives every instance its semantic id and keeps its handle, so that tasks can find and move it."""
        manager = self.get_rigid_object_manager()
        handles: List[str] = sorted(
            manager.get_object_handles(), key=lambda handle: manager.get_object_id_by_handle(handle)
        )
        instances = catalogue["instances"]
        if len(handles) != len(instances):
            raise TaskError(
                "{} lists {} instances, the simulator loaded {}: generate the houses again".format(
                    self._current_scene, len(instances), len(handles)
                )
            )
        for handle, instance in zip(handles, instances):
            manager.get_object_by_handle(handle).semantic_id = int(instance["semantic_id"])
            instance["handle"] = handle

    def _config_pathfinder(self, config: habitat_sim.Configuration) -> None:
        if _catalogue_path(config.sim_cfg.scene_id) is None:
            super()._config_pathfinder(config)
            return
        agent = config.agents[config.sim_cfg.default_agent_id]
        settings = habitat_sim.NavMeshSettings()
        settings.set_defaults()
        settings.agent_radius = agent.radius
        settings.agent_height = agent.height
        settings.cell_height = (
            0.05  # a house's floor is flat: so no rounding up of it, and no stepping onto shoes and boxes
        )
        settings.agent_max_climb = 0.05
        path = _navmesh_path(config.sim_cfg.scene_id, agent.radius, agent.height)
        if not (os.path.exists(path) and self.pathfinder.load_nav_mesh(path)):
            self._compute_navmesh(settings, path)
        self.pathfinder.seed(config.sim_cfg.random_seed)

    def _compute_navmesh(self, settings: Any, path: str) -> None:
        """Computes the navmesh round the furniture and keeps it beside the houses; a read-only folder is no error."""
        if hasattr(settings, "include_static_objects"):  # habitat-sim 0.3
            settings.include_static_objects = True
            done = self.recompute_navmesh(self.pathfinder, settings)
        else:
            done = self.recompute_navmesh(self.pathfinder, settings, True)
        if not done:
            raise RuntimeError("no navmesh could be computed for {}".format(self._current_scene))
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            descriptor, draft = tempfile.mkstemp(dir=os.path.dirname(path), suffix=".draft")
            os.close(descriptor)
        except OSError:
            return
        if self.pathfinder.save_nav_mesh(draft):
            os.replace(draft, path)
        else:
            os.unlink(draft)

    # -- state ---------------------------------------------------------------------------------------------------

    def get_agent_state(self, agent_id: int = 0) -> habitat_sim.AgentState:
        """As HabitatSim's, kept until the agent moves: sensors and measures ask for it half a dozen times a step."""
        if agent_id != 0:
            return super().get_agent_state(agent_id)
        node = self.get_agent(0).scene_node
        pose = (node.translation, node.rotation)
        if self._state is None or self._state[0] != pose:
            self._state = (pose, super().get_agent_state(0))
        return self._state[1]

    # -- collisions ----------------------------------------------------------------------------------------------

    _collided = False

    def step(self, action: Any) -> Any:
        # A velocity action moves the agent itself and leaves its flag in the last observations, which habitat-lab then
        # replaces before its collisions measure has looked.
        moved_into = self._prev_sim_obs.pop("collided", False)
        if action is None:
            observations = super().step(None)
        else:  # as HabitatSim does, less the poses of all cameras that habitat-sim keeps each time and nobody reads
            self._num_total_frames += 1
            moved_into = self.get_agent(0).act(action)
            self.step_world(1.0 / 60.0)
            self._prev_sim_obs = {**self.get_sensor_observations(), "collided": moved_into}
            observations = self._sensor_suite.get_observations(self._prev_sim_obs)
        self._collided = bool(moved_into)
        return observations

    def step_world(self, dt: float = 1.0 / 60.0) -> float:
        return self.get_world_time() if self._rests else super().step_world(dt)

    def last_state(self, agent_id: Optional[int] = None) -> habitat_sim.AgentState:
        return self.get_agent(agent_id or 0).get_state()

    def reset(self) -> Any:
        self._collided = False
        return super().reset()

    @property
    def previous_step_collided(self) -> bool:
        return self._collided

    # -- observations --------------------------------------------------------------------------------------------

    def _pair_cameras(self) -> None:
        """Finds each colour camera whose picture the depth camera's draw can give, and prepares that draw."""
        self._paired = {}
        flags = bindings.Renderer.Flags
        if self.renderer is None or os.environ.get("ENGRAM_SIM_TWO_DRAWS"):
            return
        sensors = self._sensors
        for depth_id, depth in sensors.items():
            if depth._spec.sensor_type != DEPTH or depth._spec.gpu2gpu_transfer:
                continue
            for color_id, color in sensors.items():
                if color._spec.sensor_type == COLOR and _same_view(color._spec, depth._spec):
                    self.renderer.bind_render_target(depth._sensor_object, flags.VISUALIZE_TEXTURE)
                    self._paired[color_id] = depth_id

    def get_sensor_observations(self, agent_ids: Any = 0) -> Any:
        if agent_ids not in (0, [0]) or not self._paired:
            return super().get_sensor_observations(agent_ids)
        sensors = self._sensors
        for name, sensor in sensors.items():
            if name not in self._paired:
                sensor.draw_observation()
        observations = {}
        for name, sensor in sensors.items():
            partner = self._paired.get(name)
            if partner is None:
                observations[name] = sensor.get_observation()
            else:
                sensors[partner]._sensor_object.render_target.read_frame_rgba(sensor.view)
                observations[name] = sensor._noise_model(np.flip(sensor._buffer, axis=0))
        return observations if isinstance(agent_ids, int) else {0: observations}


@registry.register_sensor(name="HabitatSimRGBSensor")
class RGBSensor(lab.HabitatSimRGBSensor):
    """As habitat-lab's, whose view of three of four channels is slow to copy."""

    def get_observation(self, sim_obs: Dict[str, Any]) -> Any:
        picture = sim_obs.get(self.uuid)
        if not isinstance(picture, np.ndarray):
            return super().get_observation(sim_obs)
        return cv2.cvtColor(picture, cv2.COLOR_RGBA2RGB)


def _same_view(first: Any, second: Any) -> bool:
    return all(
        np.array_equal(np.asarray(getattr(first, name)), np.asarray(getattr(second, name)))
        for name in ("resolution", "position", "orientation", "hfov", "near", "far", "sensor_subtype")
        if hasattr(first, name) and hasattr(second, name)
    )


def _catalogue_path(scene_id: str) -> Optional[str]:
    """`ROOT/scenes/NAME.scene_instance.json` has its catalogue in `ROOT/houses/NAME.json`."""
    suffix = ".scene_instance.json"
    if not scene_id.endswith(suffix):
        return None
    root = os.path.dirname(os.path.dirname(scene_id))
    path = os.path.join(root, "houses", os.path.basename(scene_id)[: -len(suffix)] + ".json")
    return path if os.path.exists(path) else None


def _read_catalogue(scene_id: str) -> Optional[Dict[str, Any]]:
    path = _catalogue_path(scene_id)
    if path is None:
        return None
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except ValueError as error:
        raise TaskError("catalogue {} is damaged ({}): generate the houses again".format(path, error)) from error


def _navmesh_path(scene_id: str, radius_m: float, height_m: float) -> str:
    """Where the navmesh of a generated house is kept: a house generated anew has another catalogue, so another name."""
    catalogue = str(_catalogue_path(scene_id))
    root, name = os.path.split(os.path.splitext(catalogue)[0])
    with open(catalogue, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()[:12]
    file_name = "{}_r{:.2f}_h{:.2f}_{}.navmesh".format(name, radius_m, height_m, digest)
    return os.path.join(os.path.dirname(root), "navmeshes", file_name)
