"""Guesses that look at no picture: what every method must beat to have learnt something.

Each is a `PredictionSource`, scored like a network. What they know of depth, they know from the
training split.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.data.index import IndexLine, read_header, read_lines
from ssd_depth_core.data.nuscenes import NuScenes
from ssd_depth_core.data.sources import open_source
from ssd_depth_core.evaluation.predictions import Prediction
from ssd_depth_core.evaluation.protocol import EvaluationConfig, scored_pixels
from ssd_depth_core.evaluation.run import ReadTruth, truth_reader

TrivialName = Literal['constant', 'flat-road', 'median-map']
WALL_M = 30.0
"""Where the flat road ends."""
NUM_TRAINING_FRAMES = 1000
"""Training frames whose truth is read at most, evenly over the split: more change no median."""
MAP_WIDTH = 160
"""Columns of `median-map` at most: a place needs many samples, and LiDAR gives few."""
_LOG_STEP = 0.01
"""Width of the bins of ln(depth) that medians are read from: half a per cent up or down."""


class TrivialPredictions:
    """Predict from a frame's calibration at most; a `PredictionSource`."""

    def __init__(self, guess: Callable[[IndexLine], NDArray[np.floating]]) -> None:
        """Take the guess.

        Args:
            guess: From a frame to its depth, (h, w) over the whole picture [m].
        """
        self._guess = guess

    def predict(self, line: IndexLine) -> Prediction:
        """Guess a frame.

        Args:
            line: The frame.

        Returns:
            Depth alone.
        """
        return Prediction(depth=self._guess(line), confidence=None)

    def predict_mirrored(self, line: IndexLine) -> None:
        """Give nothing: what looks at no picture has nothing to say about a mirrored one.

        Args:
            line: The frame.
        """

    def predict_previous(self, line: IndexLine) -> None:
        """Give nothing: a guess that is always the same would pass for steady.

        Args:
            line: The frame.
        """


def trivial_predictions(
    name: TrivialName, index: Path, lines: Sequence[IndexLine], config: EvaluationConfig
) -> tuple[str, TrivialPredictions]:
    """Make a guess from an index.

    Args:
        name: Which: `constant` is the median of the training split's truth, `median-map` that
            median at each place of the picture, `flat-road` knows the camera's calibration alone.
        index: Its training split gives the medians, its data set the calibration.
        lines: The frames to guess.
        config: The protocol; medians are of the truth that it would score.

    Returns:
        The guess in words, and the guess.

    Raises:
        FileNotFoundError: If a file of the index or the data set is missing.
        ValueError: If a file is damaged, no truth of the training split counts, or the flat road
            is asked for where the format gives no mounting.
    """
    header = read_header(index)
    root = Path(header.root)
    if name == 'flat-road':
        if header.format != 'nuscenes':
            raise ValueError(
                f'flat-road needs the mounting that nuScenes tables give, got {header.format} '
                'format; take constant or median-map'
            )
        road = flat_road(NuScenes(root, header.options.get('version')), lines)
        return f'flat road, wall at {WALL_M:g} m', TrivialPredictions(road)
    known = read_lines(index, 'train')
    read_truth = truth_reader(config, open_source(header), root)
    size = (1, 1)
    if name == 'median-map' and known:
        height, width = known[0].size
        size = (max(1, round(height * min(1.0, MAP_WIDTH / width))), min(width, MAP_WIDTH))
    depth = median_depth(known, read_truth, config, size)
    if name == 'constant':
        words = f'constant {depth.item():.1f} m, the median of the training truth'
    else:
        words = 'median of the training truth at each place of the picture'
    return words, TrivialPredictions(lambda line: depth)


def flat_road(
    data: NuScenes, lines: Sequence[IndexLine]
) -> Callable[[IndexLine], NDArray[np.float64]]:
    """Look up how the cameras are mounted, to draw a flat road that ends at a wall.

    Args:
        data: Its tables say where the cameras are.
        lines: The frames that will be asked for.

    Returns:
        From a frame to its depth, (H, W) [m].

    Raises:
        ValueError: If a frame's scene is not in the tables.
    """
    T_ego_camera = {
        (scene, channel): data.records(data.scene(scene), [channel])[0].T_ego_sensor
        for scene, channel in sorted({(line.scene, line.channel) for line in lines})
    }

    def draw(line: IndexLine) -> NDArray[np.float64]:
        rows, columns = np.indices(line.size).reshape(2, -1)
        T = T_ego_camera[line.scene, line.channel]
        # nuScenes' ego frame lies on the ground, its z axis up.
        depth = road_depth(
            np.column_stack([columns, rows]).astype(float),
            np.array(line.K),
            height_m=T[2, 3],
            down_camera=-T[2, :3],
        )
        return depth.reshape(line.size)

    return draw


def road_depth(
    uv: NDArray[np.float64],
    K: NDArray[np.float64],
    *,
    height_m: float,
    down_camera: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Guess a flat road that ends at a wall.

    Args:
        uv: (N, 2) pixel column and row.
        K: (3, 3), pixels.
        height_m: Of the camera above the ground.
        down_camera: (3,) unit vector to the ground, in the camera's frame.

    Returns:
        (N,) [m]: where each pixel's ray meets the ground plane, at most `WALL_M`; `WALL_M` for
        rays that do not go down.
    """
    pixels = np.column_stack([uv, np.ones(len(uv))])
    rays = pixels @ np.linalg.inv(K).T  # camera frame, z = 1, so lengths are depths
    descent = rays @ down_camera
    depth = np.full(len(rays), np.inf)
    np.divide(height_m, descent, out=depth, where=descent > 0)
    return np.minimum(depth, WALL_M)


def median_depth(
    lines: Sequence[IndexLine],
    read_truth: ReadTruth,
    config: EvaluationConfig,
    size: tuple[int, int],
) -> NDArray[np.float64]:
    """Take the median of true depth at each place of the picture.

    Args:
        lines: Frames to learn from; at most `NUM_TRAINING_FRAMES`, evenly chosen, are read.
        read_truth: Their true depth.
        config: Says which of it counts.
        size: (h, w) of the result; (1, 1) takes one median of all.

    Returns:
        (h, w) over the whole picture [m], exact to half a per cent; NaN where no truth counts.

    Raises:
        FileNotFoundError: If a file of the data set is missing.
        ValueError: If no truth counts at all, or a file is damaged.
    """
    low, cap = config.min_depth_m, config.main_cap_m
    num_bins = int(np.ceil(np.log(cap / low) / _LOG_STEP))
    # Counted in bins, for all pixels of all frames would not fit into memory.
    counts = np.zeros(size[0] * size[1] * num_bins, np.int32)
    for line in lines[:: -(-len(lines) // NUM_TRAINING_FRAMES) or 1]:
        truth = read_truth(line)
        rows, columns = scored_pixels(truth, config)
        depth = truth[rows, columns].astype(np.float64)
        below_cap = depth < cap
        # As predictions are read: the corners of both grids lie on each other.
        v, u = (
            np.rint(places[below_cap] * (target - 1) / max(source - 1, 1)).astype(np.intp)
            for places, target, source in zip((rows, columns), size, truth.shape, strict=True)
        )
        bins = (np.log(depth[below_cap] / low) / _LOG_STEP).astype(np.intp)
        np.add.at(counts, (v * size[1] + u) * num_bins + np.minimum(bins, num_bins - 1), 1)
    cumulated = counts.reshape(-1, num_bins).cumsum(axis=1)
    total = cumulated[:, -1:]
    if not total.any():
        raise ValueError('no true depth of the training split counts, so there is no median of it')
    median = low * np.exp(((2 * cumulated >= total).argmax(axis=1) + 0.5) * _LOG_STEP)
    return np.where(total[:, 0] > 0, median, np.nan).reshape(size)
