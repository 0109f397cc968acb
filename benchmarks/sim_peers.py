"""What `benchmarks/sim.py` compares with; runs under the simulator's interpreter and prints one JSON line.

`bare`: habitat-sim alone, a process for each environment: scene, RGB and depth camera, action, observation, nothing
else. `lab`: habitat-lab's own VectorEnv over its gym environment (as habitat-baselines makes it), same task, scenes and
sensors.

Usage: SIM_PYTHON benchmarks/sim_peers.py bare|lab SPEC.json
"""

import gzip
import json
import multiprocessing
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))


def load_worker_package():
    """`sim_worker`, as a worker loads it: it makes habitat-lab run on this habitat-sim."""
    sys.path.insert(0, os.path.join(HERE, "..", "sim", "worker"))
    import launch

    launch.load_package()
    from sim_worker import compat

    compat.prepare()


load_worker_package()  # also in the processes that habitat-lab starts, which import this file


def read_episodes(path):
    with gzip.open(path, "rt") as file:
        return json.load(file)["episodes"]


# ---- bare habitat-sim -----------------------------------------------------------------------------------------------


def bare_simulator(spec, scene):
    import habitat_sim

    backend = habitat_sim.SimulatorConfiguration()
    backend.scene_dataset_config_file = spec["scene_dataset"]
    backend.scene_id = scene
    backend.enable_physics = False
    agent = habitat_sim.AgentConfiguration()
    agent.height, agent.radius = 1.0, 0.18
    agent.sensor_specifications = []
    for uuid, kind in (("rgb", habitat_sim.SensorType.COLOR), ("depth", habitat_sim.SensorType.DEPTH)):
        camera = habitat_sim.CameraSensorSpec()
        camera.uuid, camera.sensor_type = uuid, kind
        camera.resolution = [spec["image_size"], spec["image_size"]]
        camera.position = [0.0, 0.88, 0.0]
        agent.sensor_specifications.append(camera)
    move = habitat_sim.ActuationSpec(amount=0.25)
    turn = habitat_sim.ActuationSpec(amount=30.0)
    agent.action_space = {
        1: habitat_sim.ActionSpec("move_forward", move),
        2: habitat_sim.ActionSpec("turn_left", turn),
        3: habitat_sim.ActionSpec("turn_right", turn),
    }
    return habitat_sim.Configuration(backend, [agent])


def bare_process(spec, rank, barrier, results):
    import habitat_sim
    import numpy as np

    episodes = read_episodes(spec["episodes"])[rank :: spec["num_envs"]]
    scenes = spec["scenes"]
    simulator = habitat_sim.Simulator(bare_simulator(spec, scenes[episodes[0]["scene_id"]]))
    loaded = episodes[0]["scene_id"]
    barrier.wait()
    start = time.perf_counter()
    taken = 0
    for episode, actions in zip(episodes, action_plan(spec, rank), strict=True):
        if episode["scene_id"] != loaded:
            loaded = episode["scene_id"]
            simulator.reconfigure(bare_simulator(spec, scenes[loaded]))
        simulator.pathfinder.load_nav_mesh(spec["navmeshes"][loaded])
        state = habitat_sim.AgentState()
        state.position = np.array(episode["start_position"], dtype=np.float32)
        state.rotation = episode["start_rotation"]
        simulator.get_agent(0).set_state(state)
        simulator.get_sensor_observations()
        for action in actions:
            simulator.step(int(action))
            taken += 1
    results.put((taken, time.perf_counter() - start))
    simulator.close()


def action_plan(spec, rank):
    """The actions of each of this environment's episodes: never stop, mostly ahead."""
    import numpy as np

    generator = np.random.default_rng([spec["seed"], rank])
    return generator.choice([1, 1, 2, 3], size=(spec["episodes_per_env"], spec["steps_per_episode"]))


def bare(spec):
    barrier = multiprocessing.Barrier(spec["num_envs"])
    results = multiprocessing.Queue()
    ranks = range(spec["num_envs"])
    processes = [multiprocessing.Process(target=bare_process, args=(spec, rank, barrier, results)) for rank in ranks]
    for process in processes:
        process.start()
    measured = [results.get() for _ in processes]
    for process in processes:
        process.join()
    return sum(taken for taken, _ in measured) / max(seconds for _, seconds in measured)


# ---- habitat-lab's VectorEnv ----------------------------------------------------------------------------------------


def make_lab_env(config, dataset):
    """In the process that habitat-lab starts: its HabitatSim, less only what this habitat-sim does not know."""
    os.environ["ENGRAM_SIM_TWO_DRAWS"] = "1"
    from habitat.gym import make_gym_from_config
    from habitat.sims.habitat_simulator.habitat_simulator import HabitatSim
    from sim_worker import configs, oracle, simulator, tasks  # noqa: F401

    simulator.EngramSim.get_agent_state = HabitatSim.get_agent_state
    simulator.EngramSim.get_sensor_observations = HabitatSim.get_sensor_observations
    return make_gym_from_config(config, dataset)


def lab(spec):
    import habitat
    from sim_worker import checks

    multiprocessing.set_executable(spec["python"])  # the launcher: sys.executable is the interpreter behind it
    from sim_worker import configs, oracle, simulator, tasks  # noqa: F401

    config = habitat.get_config(spec["lab_config"], spec["overrides"])
    datasets = []
    for rank in range(spec["num_envs"]):
        dataset = checks.load_dataset(config.habitat)
        dataset.episodes = dataset.episodes[rank :: spec["num_envs"]]
        datasets.append(dataset)
    vector = habitat.VectorEnv(
        make_env_fn=make_lab_env,
        env_fn_args=[(config, dataset) for dataset in datasets],
        auto_reset_done=True,
        multiprocessing_start_method="forkserver",
    )
    vector.reset()
    plans = [action_plan(spec, rank).reshape(-1) for rank in range(spec["num_envs"])]
    start = time.perf_counter()
    for actions in zip(*plans, strict=True):
        vector.step([int(action) for action in actions])
    seconds = time.perf_counter() - start
    vector.close()
    return len(plans) * len(plans[0]) / seconds


if __name__ == "__main__":
    with open(sys.argv[2]) as file:
        print(json.dumps({"steps_per_s": {"bare": bare, "lab": lab}[sys.argv[1]](json.load(file))}))
