"""Maps and videos of chosen episodes, by running the recorded actions again.

Simulation is deterministic, so what an agent did with its own small camera can be filmed afterwards with a larger one.
Each episode's replay is checked against the recorded path.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from embodied.evaluation.config import EvalConfig, slug
from embodied.evaluation.episodes import EpisodeResult
from embodied.files import replacing, write_atomically
from sim.vector_env import HabitatVectorEnv

_MAX_FRAMES = 160
_FRAMES_PER_S = 10
_PATH_TOLERANCE_M = 0.01
_BAR_PIXELS = 24
_NAVIGABLE, _WALL, _PATH, _ROBOT, _GOAL = (226, 230, 236), (58, 64, 74), (37, 99, 235), (220, 38, 38), (22, 163, 74)


@dataclass
class FloorMap:
    """The navigable floor of a house, from above.

    `navigable` is bool [rows (z), columns (x)]; `origin_xz` (m) is the corner of cell (0, 0). `goals` are the
    categories sought, in order, each {category, positions of its instances ([[x, y, z]], m)}.
    """

    navigable: np.ndarray
    origin_xz: tuple[float, float]
    metres_per_cell: float
    goals: list[dict[str, Any]]

    def crop(self, margin_m: float = 0.8) -> FloorMap:
        """Cut to what is navigable, with a margin that shows the furniture round it, where goals lie."""
        rows, columns = np.flatnonzero(self.navigable.any(axis=1)), np.flatnonzero(self.navigable.any(axis=0))
        if not rows.size:
            return self
        margin = round(margin_m / self.metres_per_cell)
        cells = self.navigable[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        left, top = int(columns[0]) - margin, int(rows[0]) - margin
        origin = (self.origin_xz[0] + left * self.metres_per_cell, self.origin_xz[1] + top * self.metres_per_cell)
        return replace(self, navigable=np.pad(cells, margin), origin_xz=origin)

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """(column, row) of points [n, 3] (m, scene frame), in cells."""
        points = np.asarray(points, dtype=np.float64).reshape(-1, np.shape(points)[-1])
        return (points[:, [0, 2]] - np.array(self.origin_xz)) / self.metres_per_cell


def choose(results: dict[str, list[EpisodeResult]], count: int) -> list[int]:
    """`count` episodes spread over those that every agent ran to an end."""
    ran = [{result.index for result in agent if not result.error} for agent in results.values()]
    shared = sorted(set.intersection(*ran)) if ran else []
    if not shared or count <= 0:
        return []
    places = np.unique(np.linspace(0, len(shared) - 1, min(count, len(shared))).round().astype(int))
    return [shared[place] for place in places]


def film(
    config: EvalConfig, results: dict[str, list[EpisodeResult]], advance: Callable[[], None] = lambda: None
) -> list[dict[str, Any]]:
    """Films the chosen episodes of all agents; returns what was filmed, as `results.json` lists it.

    Writes `maps/INDEX.json`, `maps/INDEX.png` (navigable cells) and `videos/AGENT_INDEX.mp4` below the evaluation's
    folder.

    Raises:
        SimulatorError: see `HabitatVectorEnv`.
        FileError: the folder cannot be written.
    """
    indices = choose(results, config.videos)
    if not indices or config.sim.is_tabletop:  # these have no floor plan to draw beside the picture
        return []
    folder = Path(config.output)
    sim = replace(config.sim, order="sequential", seed=config.seed, num_envs=1, image_size=config.video_pixels)
    films = []
    env = HabitatVectorEnv(sim)
    try:
        for index in indices:
            floor: FloorMap | None = None
            for agent, episodes in results.items():
                result = next(episode for episode in episodes if episode.index == index)
                replay = _Replay(env, result, config.video_steps)
                name = f"videos/{slug(agent)}_{index}.mp4"
                with replacing(folder / name) as draft:
                    write_video(draft, replay.frames())
                if floor is None or len(replay.floor.goals) > len(floor.goals):
                    floor = replay.floor
                films.append(
                    {"agent": agent, "index": index, "video": name, "faithful": replay.deviation_m < _PATH_TOLERANCE_M}
                )
                advance()
            assert floor is not None
            write_map(folder / "maps" / str(index), floor)
    finally:
        env.close()
    _remove_others(folder, films)
    return films


def _remove_others(folder: Path, films: list[dict[str, Any]]) -> None:
    """Removes maps and videos that an earlier evaluation left here."""
    kept = {folder / film["video"] for film in films}
    kept |= {folder / "maps" / f"{film['index']}{suffix}" for film in films for suffix in (".json", ".png")}
    for path in (*folder.glob("videos/*.mp4"), *folder.glob("maps/*.json"), *folder.glob("maps/*.png")):
        if path not in kept:
            path.unlink()


class _Replay:
    """One recorded episode, run again before a larger camera."""

    def __init__(self, env: HabitatVectorEnv, result: EpisodeResult, max_steps: int) -> None:
        self._env = env
        self._result = result
        self._max_steps = max_steps
        self.deviation_m = 0.0
        self._observations, _ = env.reset(options={"counts": [result.index]})
        categories = list(dict.fromkeys(goal.category for goal in result.goals if goal.category))
        body, cells = env.call(0, "top_down_map")
        navigable = np.frombuffer(cells, np.uint8).reshape(body["shape"]).astype(bool)
        goals = [env.call(0, "goals", category=category)[0] for category in categories] or [env.call(0, "goals")[0]]
        self.floor = FloorMap(navigable, tuple(body["origin_xz"]), float(body["metres_per_cell"]), goals).crop()

    def frames(self) -> Iterator[np.ndarray]:
        """Pictures uint8 [height, width, 3]: what the robot saw beside where it was."""
        steps = min(len(self._result.actions), self._max_steps)
        stride = max(1, -(-steps // _MAX_FRAMES))
        goal, _ = self._env.call(0, "goals")
        picture = _Picture(self.floor, self._observations["rgb"][0].shape[0])
        yield picture.frame(self._observations["rgb"][0], self._result.path[:1], goal, 0, 1)
        number = 1
        for step, action in enumerate(self._result.actions[:steps], start=1):
            dtype = np.int64 if self._env.action_names else np.float32
            observations, _, terminated, truncated, infos = self._env.step(np.array([action], dtype=dtype))
            over = bool(terminated[0] or truncated[0])
            metrics = (
                infos["final_info"][0]["metrics"]
                if over
                else {key: value[0] for key, value in infos["metrics"].items()}
            )
            here = np.array([metrics["agent.x"], metrics["agent.y"], metrics["agent.z"]])
            self.deviation_m = max(self.deviation_m, float(np.abs(here - self._result.path[step][:3]).max()))
            rgb = infos["final_obs"][0]["rgb"] if over else observations["rgb"][0]
            if step % stride == 0 or over or step == steps:
                yield picture.frame(rgb, self._result.path[: step + 1], goal, step, number)
            if over:
                break
            if metrics.get("goal_sequence.index", 0.0) + 1 != number:
                number = int(metrics["goal_sequence.index"]) + 1
                goal, _ = self._env.call(0, "goals")
        for _ in range(_FRAMES_PER_S):  # hold the last picture a second
            yield picture.frame(rgb, self._result.path[: steps + 1], goal, steps, number)


class _Picture:
    """Draws the frames of one video."""

    def __init__(self, floor: FloorMap, pixels: int) -> None:
        self._pixels = pixels
        self._font = ImageFont.load_default(size=13)
        rows, columns = floor.navigable.shape
        self._scale = pixels / max(rows, columns)
        size = (max(1, round(columns * self._scale)), max(1, round(rows * self._scale)))
        self._corner = ((pixels - size[0]) // 2, (pixels - size[1]) // 2)
        self._floor = floor
        colours = np.where(floor.navigable[..., None], _NAVIGABLE, _WALL).astype(np.uint8)
        self._map = Image.new("RGB", (pixels, pixels), _WALL)
        self._map.paste(Image.fromarray(colours).resize(size, Image.Resampling.BILINEAR), self._corner)

    def frame(
        self, rgb: np.ndarray, path: list[list[float]], goal: dict[str, Any], step: int, goal_number: int
    ) -> np.ndarray:
        size = self._pixels
        canvas = Image.new("RGB", (2 * size, size + _BAR_PIXELS), _WALL)
        canvas.paste(Image.fromarray(np.ascontiguousarray(rgb[..., :3])), (0, 0))
        canvas.paste(self._map, (size, 0))
        draw = ImageDraw.Draw(canvas)
        track = self._place(np.array(path)[:, :3])
        if len(track) > 1:
            draw.line([tuple(point) for point in track], fill=_PATH, width=2)
        for x, y in self._place(np.array(goal["positions"])) if goal["positions"] else ():
            draw.ellipse((x - 4, y - 4, x + 4, y + 4), fill=_GOAL)
        self._draw_robot(draw, track[-1], path[-1][3])
        caption = goal.get("category") or "point goal"
        number = f"goal {goal_number}: " if goal_number > 1 else "goal: "
        draw.text((8, size + 4), number + caption.replace("_", " "), fill=_NAVIGABLE, font=self._font)
        draw.text((2 * size - 8, size + 4), f"step {step}", fill=_NAVIGABLE, font=self._font, anchor="ra")
        return np.asarray(canvas)

    def _place(self, points: np.ndarray) -> np.ndarray:
        return self._floor.pixels(points) * self._scale + np.array(self._corner) + np.array([self._pixels, 0])

    @staticmethod
    def _draw_robot(draw: ImageDraw.ImageDraw, at: np.ndarray, yaw: float) -> None:
        corners = []
        for angle, reach in ((0.0, 8.0), (2.5, 6.0), (-2.5, 6.0)):
            # A yaw of 0 looks along -z, which is up on the map; positive yaws turn left.
            corners.append((at[0] - reach * np.sin(yaw + angle), at[1] - reach * np.cos(yaw + angle)))
        draw.polygon(corners, fill=_ROBOT)


def first_frame(path: Path) -> Image.Image:
    """The first picture of a video."""
    reader = imageio_ffmpeg.read_frames(str(path))
    size = next(reader)["size"]
    picture = Image.frombytes("RGB", size, next(reader))
    reader.close()
    return picture


def write_video(path: Path, frames: Iterator[np.ndarray], crf: int = 30) -> None:
    """Writes uint8 [height, width, 3] frames as H.264 in MP4, the form that every browser plays."""
    first = next(frames)
    height, width = first.shape[:2]
    writer = imageio_ffmpeg.write_frames(
        str(path),
        (width, height),
        fps=_FRAMES_PER_S,
        codec="libx264",
        pix_fmt_out="yuv420p",
        macro_block_size=2,
        quality=None,
        # The cap keeps sixteen seconds below 300 kB, whatever is in the picture.
        output_params=f"-crf {crf} -maxrate 130k -bufsize 260k -preset veryfast -movflags +faststart".split(),
    )
    writer.send(None)
    try:
        writer.send(np.ascontiguousarray(first))
        for frame in frames:
            writer.send(np.ascontiguousarray(frame))
    finally:
        writer.close()


def write_map(stem: Path, floor: FloorMap) -> None:
    picture = Image.fromarray((floor.navigable * 255).astype(np.uint8)).convert("1")
    with replacing(stem.with_suffix(".png")) as draft:
        picture.save(draft, format="PNG")
    body = {"origin_xz": floor.origin_xz, "metres_per_cell": floor.metres_per_cell, "goals": floor.goals}
    write_atomically(stem.with_suffix(".json"), json.dumps(body, indent=1) + "\n")


def read_map(folder: Path, index: int) -> FloorMap:
    """The map of an episode that was filmed."""
    stem = folder / "maps" / str(index)
    body = json.loads(stem.with_suffix(".json").read_text())
    with Image.open(stem.with_suffix(".png")) as picture:
        navigable = np.asarray(picture.convert("1")).astype(bool)
    return FloorMap(navigable, tuple(body["origin_xz"]), float(body["metres_per_cell"]), body["goals"])
