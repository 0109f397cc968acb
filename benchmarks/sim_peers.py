"""What `benchmarks/sim.py` compares with; runs under the simulator's interpreter.

Answers with a line when it is ready. For each line on its standard input it then walks the next house, and answers
with the seconds that it took.

`bare`: habitat-sim alone, a process for each environment: scene, RGB and depth camera, action, observation, nothing
else. `lab`: habitat-lab's own VectorEnv over its gym environment (as habitat-baselines makes it), same task, scenes and
sensors.

Usage: SIM_PYTHON benchmarks/sim_peers.py bare|lab SPEC.json
"""

import gzip
import itertools
import json
import multiprocessing
import os
import sys
import time

ANSWER = "engram-benchmark:"
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
    plans = action_plan(spec, rank)
    scenes = spec["scenes"]
    loaded = episodes[0]["scene_id"]
    simulator = habitat_sim.Simulator(bare_simulator(spec, scenes[loaded]))
    for begin in range(0, len(episodes), spec["episodes_per_turn"]):
        barrier.wait()
        start = time.perf_counter()
        for index in range(begin, begin + spec["episodes_per_turn"]):
            episode = episodes[index]
            if episode["scene_id"] != loaded:
                loaded = episode["scene_id"]
                simulator.reconfigure(bare_simulator(spec, scenes[loaded]))
            simulator.pathfinder.load_nav_mesh(spec["navmeshes"][loaded])
            state = habitat_sim.AgentState()
            state.position = np.array(episode["start_position"], dtype=np.float32)
            state.rotation = episode["start_rotation"]
            simulator.get_agent(0).set_state(state)
            simulator.get_sensor_observations()
            for action in plans[index]:
                simulator.step(int(action))
        results.put(time.perf_counter() - start)
    simulator.close()


def action_plan(spec, rank):
    """The actions of each of this environment's episodes: never stop, mostly ahead."""
    import numpy as np

    generator = np.random.default_rng([spec["seed"], rank])
    return generator.choice([1, 1, 2, 3], size=(spec["episodes_per_env"], spec["steps_per_episode"]))


def bare(spec):
    """A function that walks the next house and returns its seconds."""
    barrier = multiprocessing.Barrier(spec["num_envs"] + 1)
    results = multiprocessing.Queue()
    ranks = range(spec["num_envs"])
    for rank in ranks:
        multiprocessing.Process(target=bare_process, args=(spec, rank, barrier, results), daemon=True).start()

    def walk():
        barrier.wait()
        return max(results.get() for _ in ranks)

    return walk


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
    """As `bare`."""
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
    plans = [action_plan(spec, rank).reshape(-1).tolist() for rank in range(spec["num_envs"])]
    steps = iter(zip(*plans, strict=True))

    def walk():
        start = time.perf_counter()
        for actions in itertools.islice(steps, spec["episodes_per_turn"] * spec["steps_per_episode"]):
            vector.step(list(actions))
        return time.perf_counter() - start

    return walk


def main():
    with open(sys.argv[2]) as file:
        walk = {"bare": bare, "lab": lab}[sys.argv[1]](json.load(file))
    print(ANSWER + "ready", flush=True)
    for _ in sys.stdin:
        print(ANSWER + str(walk()), flush=True)


if __name__ == "__main__":
    main()
