"""Score the frames of an index, one after the other."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.checks import check_file
from ssd_depth_core.data.index import FrameSource, IndexLine
from ssd_depth_core.data.pictures import read_coded_depth
from ssd_depth_core.evaluation.frame_score import FrameScore, score_frame
from ssd_depth_core.evaluation.predictions import PredictionSource
from ssd_depth_core.evaluation.protocol import EvaluationConfig
from ssd_depth_core.exact_depth import decode_exact_depth

ReadTruth = Callable[[IndexLine], NDArray[np.float32]]
"""From a frame to its true depth, (H, W) [m]; NaN or inf where there is none."""


@dataclass(kw_only=True, slots=True)
class ScoredFrames:
    """Hold what scoring gave."""

    frames: list[FrameScore] = field(default_factory=list)
    """In the order of the index."""
    missing: int = 0
    """Frames without a prediction."""
    without_truth: int = 0
    """Frames without a valid pixel."""


def truth_reader(config: EvaluationConfig, source: FrameSource, root: Path) -> ReadTruth:
    """Choose what predictions are held against.

    Args:
        config: Says which truth.
        source: Reads LiDAR depth.
        root: Of the data set, where exact depth lies.

    Returns:
        The reader; it raises FileNotFoundError and ValueError with the frame's file.
    """
    if config.truth == 'lidar':
        return source.read_depth
    return lambda line: read_exact_depth(line, root)


def read_exact_depth(line: IndexLine, root: Path) -> NDArray[np.float32]:
    """Read the exact depth of a rendered frame.

    Args:
        line: The frame.
        root: Of the data set.

    Returns:
        (H, W) [m]; inf in the sky, NaN where unknown.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the frame has none, or its file is damaged or of another size.
    """
    if line.exact_depth is None:
        raise ValueError(f'frame {line.id} has no exact depth; score it with --truth lidar')
    path = root / line.exact_depth
    check_file(path, 'exact depth', 'render the data set again')
    coded = read_coded_depth(path)
    if coded.shape != tuple(line.size):
        raise ValueError(
            f'exact depth {path} must be of {line.size}, got {coded.shape}; render it again'
        )
    return decode_exact_depth(coded)


def score_frames(
    lines: Iterable[IndexLine],
    read_truth: ReadTruth,
    predictions: PredictionSource,
    config: EvaluationConfig,
) -> ScoredFrames:
    """Score every frame.

    Args:
        lines: Of the index.
        read_truth: What predictions are held against.
        predictions: Of the method.
        config: The protocol.

    Returns:
        The scores, and how many frames have none.

    Raises:
        FileNotFoundError: If a file of the data set is missing.
        ValueError: If a file is damaged or a prediction cannot be scored; the file or the frame is
            named.
    """
    scored = ScoredFrames()
    for line in lines:
        prediction = predictions.predict(line)
        if prediction is None:
            scored.missing += 1
            continue
        frame = score_frame(
            line,
            read_truth(line),
            prediction,
            config,
            mirrored=predictions.predict_mirrored(line) if config.flip else None,
            previous=predictions.predict_previous(line) if config.flicker else None,
        )
        if frame is None:
            scored.without_truth += 1
        else:
            scored.frames.append(frame)
    return scored


def absences(frames: list[FrameScore], config: EvaluationConfig) -> tuple[str, ...]:
    """Say what the tables will lack, and why.

    Args:
        frames: Scored.
        config: The protocol.

    Returns:
        A sentence each.
    """
    flips = {score.variant for frame in frames for score in frame.scores} & {'flip'}
    reasons = {
        'Flip-averaged variants: there are no predictions for the mirrored pictures.': flips,
        'Confidence: the method gives none.': [f for f in frames if f.confidence],
        'Flicker: no frame comes with a prediction for the frame before it.': [
            f for f in frames if f.flicker is not None
        ],
        'Edges: they need exact depth, and the truth is LiDAR.'
        if config.truth == 'lidar'
        else 'Edges: no frame has one.': [f for f in frames if f.edges],
    }
    return tuple(reason for reason, present in reasons.items() if not present)
