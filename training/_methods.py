"""What an evaluation scores: a folder of predictions, a model, a checkpoint, a trivial guess."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.data.index import FrameSource, IndexLine
from ssd_depth_core.evaluation.predictions import (
    FolderPredictions,
    LivePredictions,
    Prediction,
    PredictionSource,
)
from ssd_depth_core.evaluation.protocol import EvaluationConfig

Predict = Callable[[NDArray[np.uint8], NDArray[np.float64]], Prediction]
"""From a picture, (H, W, 3) uint8 RGB, and its K, (3, 3), to a prediction."""


def exported_model(path: Path | None) -> tuple[str, Predict]:
    """Load what a robot would run, on the CPU.

    Args:
        path: `.onnx`, its spec beside it; None for the shipped student.

    Returns:
        The method in words, and the method.

    Raises:
        FileNotFoundError: If the model or its spec is missing.
        ImportError: If no CPU backend is installed.
        ValueError: If a file cannot be read, or the model and its spec do not fit each other.
    """
    from ssd_depth_core.runtime.predictor import DepthPredictor

    predictor = DepthPredictor.load(path)

    def predict(image: NDArray[np.uint8], K: NDArray[np.float64]) -> Prediction:
        said = predictor.predict(image, K)
        return Prediction(depth=said.depth, confidence=said.confidence)

    return f'{predictor.spec.name} ({path or "shipped"}, {predictor.backend_name})', predict


def checkpoint(path: Path, device: str) -> tuple[str, Predict]:
    """Load a network as training left it; its answers are the exported model's.

    Args:
        path: `.safetensors`.
        device: Where torch computes.

    Returns:
        The method in words, and the method.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no such checkpoint.
    """
    from ssd_depth_core.canonical_depth import metric_depth_of
    from ssd_depth_core.learning.checkpoint import load_checkpoint
    from ssd_depth_core.preprocess import focal_of, normalize, resize_image, resize_intrinsics
    import torch

    network, info = load_checkpoint(path)
    network.to(device)
    config = network.config
    size = (config.input_height, config.input_width)

    def predict(image: NDArray[np.uint8], K: NDArray[np.float64]) -> Prediction:
        pixels = normalize(resize_image(image, size), config.mean, config.std)
        with torch.inference_mode():
            said = network(torch.from_numpy(pixels)[None].to(device))
        depth = metric_depth_of(
            said.inverse_depth[0, 0].cpu().numpy(),
            focal_px=focal_of(resize_intrinsics(K, image.shape[:2], size)),
            canonical_focal_px=config.canonical_focal_px,
            max_depth_m=config.max_depth_m,
        )
        confidence = said.confidence
        return Prediction(
            depth=depth,
            confidence=None if confidence is None else confidence[0, 0].cpu().numpy(),
        )

    return f'checkpoint {path}, step {info.step}', predict


def method_of(
    args: argparse.Namespace,
    lines: Sequence[IndexLine],
    source: FrameSource,
    device: str,
    config: EvaluationConfig,
) -> tuple[str, PredictionSource]:
    """Open the method that `training.evaluate` was asked to score.

    Args:
        args: With `predictions`, `predictions_flipped`, `allow_missing`, `trivial`, `index`,
            `checkpoint`, `model`.
        lines: The frames to score.
        source: Of their pictures.
        device: Where a checkpoint computes.
        config: Says which training truth a trivial guess learns from.

    Returns:
        The method in words, and its predictions.

    Raises:
        FileNotFoundError: If predictions or weights are missing.
        ValueError: If weights are damaged, or a trivial guess has nothing to go by.
    """
    if args.trivial:
        from ssd_depth_core.evaluation.trivial import trivial_predictions

        return trivial_predictions(args.trivial, args.index, lines, config)
    if args.predictions:
        folder = FolderPredictions(
            args.predictions,
            lines,
            mirrored=args.predictions_flipped,
            allow_missing=args.allow_missing,
        )
        return f'predictions in {args.predictions}', folder
    if args.checkpoint:
        name, predict = checkpoint(args.checkpoint, device)
    else:
        name, predict = exported_model(args.model)
    return name, LivePredictions(predict, source)
