"""Runs agents over the episodes of a file, every episode once, all workers at once.

Environment i of n runs episodes i, i + n, i + 2n ... of the file, and an agent's random numbers are seeded by the
episode. So the results do not depend on the number of workers. An episode that a dying worker cut short is run once
more.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import random
from collections import deque
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from embodied.agents.base import INSTRUCTION, Agent, AgentError, SeededAgent
from embodied.agents.registry import AGENTS, make_agent, prepare_sim
from embodied.evaluation.config import EvalConfig, label_of, slug, source_of
from embodied.evaluation.episodes import EpisodeResult, GoalResult, Journal
from embodied.evaluation.progress import EvaluationProgress
from sim.config import SimConfig
from sim.vector_env import HabitatVectorEnv

MAX_ATTEMPTS = 2
_POSE = ("agent.x", "agent.y", "agent.z", "agent.yaw")
_SCENE_SUFFIXES = (".scene_instance.json", ".basis.glb", ".glb", ".ply")


class AgentRun:
    """One agent over the episodes it still has to run.

    Args:
        entry: the agent, as in `EvalConfig.agents`.
        config: the evaluation.
        journal: results so far; new ones are added to it.
        progress: where to show how far it is.
    """

    def __init__(self, entry: str, config: EvalConfig, journal: Journal, progress: EvaluationProgress) -> None:
        self._label, self._source = label_of(entry), source_of(entry)
        self._config = config
        self._journal = journal
        self._progress = progress
        self.restarts = 0

    def sim_config(self) -> SimConfig:
        """The simulators it needs."""
        sim = replace(prepare_sim(self._source, self._config.sim), order="sequential", seed=self._config.seed)
        return replace(sim, num_envs=min(sim.num_envs, self._config.episodes or sim.num_envs))

    def run(self, env: HabitatVectorEnv) -> None:
        """Runs all episodes that the journal does not have.

        Raises:
            TaskError, WorkerDied: see `HabitatVectorEnv`.
            AgentError: the agent cannot run this task.
        """
        before = env.restarts
        wanted = _wanted(env.num_episodes, self._config.episodes)
        self._progress.begin(self._label, len(wanted), len(self._journal.results))
        pending = [index for index in wanted if index not in self._journal.results]
        if pending:
            options = {} if self._config.memory == "intact" else {"memory": self._config.memory}
            try:
                agent = make_agent(self._source, env, self._config.seed, **options)
            except TypeError as error:
                raise AgentError(f"memory: {self._label} has no memory bank to damage ({error})") from error
            _Loop(env, agent, self, pending).run()
        self.restarts = env.restarts - before

    def finished(self, result: EpisodeResult) -> None:
        result.agent = self._label
        self._journal.add(result)
        self._progress.advance()

    def stepped(self, steps: int) -> None:
        self._progress.stepped(steps)


class _Loop:
    """The rows of one vector environment, each with its queue of episodes."""

    def __init__(self, env: HabitatVectorEnv, agent: Agent, run: AgentRun, pending: list[int]) -> None:
        self._env = env
        self._agent = agent
        self._run = run
        self._num_envs = env.num_envs
        self._queues: list[deque[int]] = [deque() for _ in range(env.num_envs)]
        for index in pending:
            self._queues[index % env.num_envs].append(index)
        self._running: list[_Recorder | None] = [None] * env.num_envs
        self._attempts: dict[int, int] = {}
        self._idle = _idle_action(env)

    def run(self) -> None:
        counts = [queue[0] // self._num_envs if queue else 0 for queue in self._queues]
        observations, infos = self._begin(list(range(self._num_envs)), *self._env.reset(options={"counts": counts}))
        while any(recorder is not None for recorder in self._running):
            active = np.array([recorder is not None for recorder in self._running])
            actions = self._agent.act(_with_instructions(observations, infos))
            actions = np.where(active.reshape(-1, *[1] * (actions.ndim - 1)), actions, self._idle).astype(actions.dtype)
            observations, rewards, terminated, truncated, infos = self._env.step(actions)
            self._run.stepped(int(active.sum()))
            over = (terminated | truncated) & active
            for row, recorder in enumerate(self._running):
                if recorder is None:
                    continue
                recorder.act(actions[row], float(rewards[row]))
                if over[row]:
                    self._end(row, recorder, infos["final_info"][row])
                else:
                    recorder.see({name: float(values[row]) for name, values in infos["metrics"].items()})
            if over.any():
                observations, infos = self._begin(np.flatnonzero(over).tolist(), observations, infos)

    def _begin(self, rows: list[int], observations: Any, infos: Any) -> tuple[Any, Any]:
        """Starts the next episode of each row's queue; where the environment is at another one, sends it there."""
        for row in rows:
            self._running[row] = None
        while astray := [
            row for row in rows if self._queues[row] and infos["episode"][row]["index"] != self._queues[row][0]
        ]:
            observations, infos = self._send_to_next(astray, infos)
        begins = np.zeros(self._num_envs, bool)
        seeds = np.zeros(self._num_envs, np.int64)
        for row in rows:
            if not self._queues[row]:
                continue
            index = self._queues[row].popleft()
            begins[row], seeds[row] = True, index
            self._attempts[index] = self._attempts.get(index, 0) + 1
            category = self._env.call(row, "goals")[0].get("category") or ""
            recorder = _Recorder(infos["episode"][row], category, self._attempts[index])
            recorder.see({name: float(values[row]) for name, values in infos["metrics"].items()})
            self._running[row] = recorder
        if begins.any():
            if isinstance(self._agent, SeededAgent):
                self._agent.seed(begins, seeds)
            self._agent.reset(begins)
        return observations, infos

    def _send_to_next(self, rows: list[int], infos: Any) -> tuple[Any, Any]:
        """Resets the environments of `rows` to the heads of their queues. A worker's death in it uses up an attempt."""
        mask = np.zeros(self._num_envs, bool)
        mask[rows] = True
        counts = [int(episode["count"]) for episode in infos["episode"]]
        for row in rows:
            counts[row] = self._queues[row][0] // self._num_envs
        observations, infos = self._env.reset(options={"reset_mask": mask, "counts": counts})
        for row in rows:
            index = self._queues[row][0]
            if infos["episode"][row]["index"] == index:
                continue
            self._attempts[index] = self._attempts.get(index, 0) + 1
            if self._attempts[index] >= MAX_ATTEMPTS:
                self._queues[row].popleft()
                error = "the simulator worker died loading it"
                self._run.finished(EpisodeResult("", index, "", "", attempts=MAX_ATTEMPTS, error=error))
        return observations, infos

    def _end(self, row: int, recorder: _Recorder, final: dict[str, Any]) -> None:
        result = recorder.result(final)
        if final["worker_restarted"]:
            if result.attempts < MAX_ATTEMPTS:
                self._queues[row].append(result.index)
                return
            result.error = final["worker_error"] or "the simulator worker died"
        self._run.finished(result)


def _with_instructions(observations: dict[str, Any], infos: dict[str, Any]) -> dict[str, Any]:
    texts = [episode.get(INSTRUCTION) for episode in infos["episode"]]
    return {**observations, INSTRUCTION: np.array(texts, dtype=object)} if any(texts) else observations


class _Recorder:
    """One running episode."""

    def __init__(self, episode: dict[str, Any], category: str, attempts: int) -> None:
        self._episode = episode
        self._category = category
        self._path: list[list[float]] = []
        self._actions: list[Any] = []
        self._reward = 0.0
        self._collisions = 0
        self._attempts = attempts

    def act(self, action: np.ndarray, reward: float) -> None:
        self._actions.append(action.tolist())
        self._reward += reward

    def see(self, metrics: dict[str, float]) -> None:
        self._path.append([round(metrics[name], 4) for name in _POSE])
        # Summed here: the measure starts anew with each goal of ExtObjectNav.
        self._collisions += metrics.get("collisions.is_collision", 0.0) > 0.0

    def result(self, final: dict[str, Any]) -> EpisodeResult:
        metrics = final["metrics"]
        self.see(metrics)
        return EpisodeResult(
            agent="",
            index=int(self._episode["index"]),
            episode_id=str(self._episode["episode_id"]),
            scene=scene_name(self._episode["scene_id"]),
            goals=self._goals(metrics, final["measures"]),
            collisions=self._collisions,
            steps=len(self._actions),
            reward=self._reward,
            path=self._path,
            actions=self._actions,
            attempts=self._attempts,
        )

    def _goals(self, metrics: dict[str, float], measures: dict[str, Any]) -> list[GoalResult]:
        if "goal_sequence.goals" not in measures:
            return [self._goal(metrics, self._category, len(self._actions))]
        ended = measures["goal_sequence.goals"]
        goals = [
            GoalResult(
                category=goal["category"],
                success=goal["success"],
                spl=goal["spl"],
                soft_spl=goal["soft_spl"],
                distance_to_goal_m=goal["distance_to_goal"],
                start_distance_m=goal["start_distance"],
                steps=goal["steps"],
            )
            for goal in ended
        ]
        sequence = measures["goal_sequence.sequence"]
        steps = len(self._actions) - sum(goal.steps for goal in goals)
        if len(goals) < len(sequence) and steps > 0:
            sought = self._goal(metrics, sequence[len(goals)], steps)
            sought.success = sought.spl = 0.0
            sought.finished = False
            goals.append(sought)
        return goals

    @staticmethod
    def _goal(metrics: dict[str, float], category: str, steps: int) -> GoalResult:
        get = metrics.get
        nan = float("nan")
        return GoalResult(
            category=category,
            success=get("success", nan),
            spl=get("spl", nan),
            soft_spl=get("soft_spl", nan),
            distance_to_goal_m=get("distance_to_goal", nan),
            steps=steps,
        )


def scene_name(scene_id: str) -> str:
    """A scene's file name without folder and suffix."""
    name = Path(scene_id).name
    for suffix in _SCENE_SUFFIXES:
        name = name.removesuffix(suffix)
    return name


def run_settings(entry: str, config: EvalConfig) -> dict[str, Any]:
    """What a journal's results depend on: agent, task, episodes, seed; not the number of workers."""
    source = source_of(entry)
    sim: SimConfig = prepare_sim(source, config.sim)
    kept = {key: value for key, value in asdict(sim).items() if key in _DECIDES_RESULTS}
    return {
        "agent": label_of(entry),
        "source": source if source in AGENTS else _checkpoint_files(Path(source)),
        "sim": kept,
        "episode_file": hashlib.sha256(Path(sim.episodes).read_bytes()).hexdigest() if sim.episodes else "",
        "episodes": config.episodes,
        "seed": config.seed,
        "memory": config.memory,
    }


_DECIDES_RESULTS = ("task", "control", "scenes_dir", "image_size", "turn_degrees", "overrides")


@dataclass
class Runs:
    """What `run_agents` gives: results and worker restarts by agent, the journals that hold the results, versions."""

    results: dict[str, list[EpisodeResult]] = field(default_factory=dict)
    restarts: dict[str, int] = field(default_factory=dict)
    journals: list[Journal] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    resumed: bool = False
    """Whether a journal held results already."""


def run_agents(config: EvalConfig, console: Console | None = None) -> Runs:
    """Runs every agent of `config` over the episodes that its journal does not have."""
    runs = Runs()
    with EvaluationProgress(console) as progress, contextlib.closing(_Simulators()) as simulators:
        for entry in config.agents:
            label = label_of(entry)
            path = Path(config.output) / f"{slug(label)}.journal.jsonl"
            journal = Journal(path, run_settings(entry, config), config.resume)
            runs.resumed = runs.resumed or bool(journal.results)
            run = AgentRun(entry, config, journal, progress)
            env = simulators.of(run.sim_config())
            run.run(env)
            runs.journals.append(journal)
            runs.results[label] = [journal.results[index] for index in sorted(journal.results)]
            runs.restarts[label] = run.restarts
            runs.versions.update(env.versions)
    return runs


class _Simulators:
    """The running vector environment, kept from one agent to the next where both need the same."""

    def __init__(self) -> None:
        self._env: HabitatVectorEnv | None = None

    def of(self, config: SimConfig) -> HabitatVectorEnv:
        if self._env is None or self._env.config != config:
            self.close()
            self._env = HabitatVectorEnv(config)
        return self._env

    def close(self) -> None:
        if self._env is not None:
            self._env.close()


def _wanted(available: int, asked: int) -> list[int]:
    """The episodes to run: all, or `asked` of them spread over the file."""
    if asked > available:
        raise ValueError(f"episodes is {asked}, the episode file has {available}")
    if not asked:
        return list(range(available))
    # One of each of `asked` equal parts of the file, in which houses follow one another. Which one is drawn, always the
    # same, so that every environment (index modulo their number) gets its share.
    borders = [part * available // asked for part in range(asked + 1)]
    draw = random.Random(0)
    return [draw.randrange(first, end) for first, end in itertools.pairwise(borders)]


def _idle_action(env: HabitatVectorEnv) -> Any:
    """What a row without an episode does while others run: it turns on the spot, for a stop would load a scene."""
    if env.action_names:
        return env.action_names.index("turn_left") if "turn_left" in env.action_names else 0
    idle = np.zeros(env.single_action_space.shape or (), np.float32)
    idle[0], idle[-1] = -1.0, 1.0
    return idle


def _checkpoint_files(path: Path) -> dict[str, str]:
    """The digests of a checkpoint's files: where it lies does not matter."""
    from embodied.checkpoint import load  # it imports torch, which baselines do without

    return dict(load(path).meta["files"])
