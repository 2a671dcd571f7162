"""The translation pipeline of a config: which class does what, joined with our own network."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.data.frame_reader import FrameReader
from ssd_depth_core.data.index import read_header
from ssd_depth_core.data.sources import open_source
from ssd_depth_core.gdt.acceptance import Gate
from ssd_depth_core.gdt.captioner import make_captioner
from ssd_depth_core.gdt.depth_estimator import DepthEstimator, EstimatedDepth
from ssd_depth_core.gdt.depth_prior import DepthPriorConfig, TransformersDepth
from ssd_depth_core.gdt.diffusion import DiffusionTranslator
from ssd_depth_core.gdt.exact_frames import ExactDepth
from ssd_depth_core.gdt.patches import estimate_in_patches, Tiling
from ssd_depth_core.gdt.pipeline import Pipeline
from ssd_depth_core.gdt.procedural import ProceduralTranslator
from ssd_depth_core.gdt.recipe import TranslateConfig
from ssd_depth_core.gdt.translator import Translator
from ssd_depth_core.runtime.predictor import DepthPredictor
import torch

NUM_THREADS = 1
"""On a CPU, of each worker: sums over several threads round in another order, and so change bytes.
More cores are used by more workers."""


class ExportedDepth:
    """Estimate depth with a network that this project exported; a `DepthEstimator`."""

    def __init__(self, config: DepthPriorConfig) -> None:
        """Load it.

        Args:
            config: Names the `.onnx` file, or the shipped student.
        """
        path = None if config.model is None else Path(config.model)
        self._predictor = DepthPredictor.load(path, num_threads=NUM_THREADS)
        self._batch_size = config.batch_size
        self.models = {'depth': config.model or self._predictor.spec.name}

    def estimate(
        self, pictures: Sequence[NDArray[np.uint8]], K: Sequence[NDArray[np.float64]]
    ) -> list[EstimatedDepth]:
        """Estimate.

        Args:
            pictures: (H, W, 3) RGB, all of one size.
            K: (3, 3) each, pixels.

        Returns:
            One a picture [1/m]; 0 beyond the network's range.
        """
        estimates = []
        for start in range(0, len(pictures), self._batch_size):
            part = slice(start, start + self._batch_size)
            for picture, said in zip(
                pictures[part],
                self._predictor.predict_batch(pictures[part], K[part]),
                strict=True,
            ):
                inverse_depth = np.nan_to_num(1 / said.depth, nan=0.0)
                height, width = picture.shape[:2]
                resized = cv2.resize(inverse_depth, (width, height))
                estimates.append(EstimatedDepth(np.asarray(resized), metric=True))
        return estimates


class InPatches:
    """Estimate high-resolution depth with another estimator; a `DepthEstimator`."""

    def __init__(self, estimator: DepthEstimator, tiling: Tiling) -> None:
        """Wrap it.

        Args:
            estimator: Looks at whole pictures and at patches.
            tiling: How pictures are cut.
        """
        self.models = estimator.models
        self._estimate = estimator.estimate
        self._tiling: Tiling = tiling

    def estimate(
        self, pictures: Sequence[NDArray[np.uint8]], K: Sequence[NDArray[np.float64]]
    ) -> list[EstimatedDepth]:
        """Estimate.

        Args:
            pictures: (H, W, 3) RGB, all of one size.
            K: (3, 3) each, pixels.

        Returns:
            One a picture.
        """
        return estimate_in_patches(self._estimate, pictures, K, self._tiling)


def build_pipeline(config: TranslateConfig, index: Path, device: str) -> Pipeline:
    """Load all that a worker needs.

    Args:
        config: What to do.
        index: Folder of the frames' index.
        device: Where networks compute, e.g. `cpu` or `cuda`.

    Returns:
        The pipeline, reproducible to the bit on one kind of machine.

    Raises:
        FileNotFoundError: If the index, its data set or a model is missing.
        ImportError: If a model needs a library that is not installed.
        ValueError: If a model is damaged or does not fit the others.
    """
    torch.set_num_threads(NUM_THREADS)
    torch.backends.cudnn.deterministic = True
    header = read_header(index)
    # The gate looks without patches: 49 of them at a second look would cost as much as the
    # diffusion. Where depth is exact, our own network looks.
    looks: DepthEstimator
    if config.depth.kind == 'transformers':
        looks = TransformersDepth(replace(config.depth, tiling=None), device)
    else:
        looks = ExportedDepth(config.depth)
    depth: DepthEstimator | ExactDepth = looks
    if config.depth.kind == 'exact':
        depth = ExactDepth(Path(header.root))
    elif config.depth.tiling is not None:
        depth = InPatches(looks, config.depth.tiling)
    captioner = make_captioner(config.captioner, device)
    translator = _translator(config, device)
    return Pipeline(
        reader=FrameReader(open_source(header), resize='area'),
        captioner=captioner,
        depth=depth,
        translator=translator,
        gate=Gate(config.gate, looks),
        models=captioner.models
        | ({'depth': 'exact'} if isinstance(depth, ExactDepth) else depth.models)
        | translator.models
        | {'gate': ', '.join(looks.models.values())},
        size=config.size,
    )


def _translator(config: TranslateConfig, device: str) -> Translator:
    if config.translator == 'procedural':
        return ProceduralTranslator(config.procedural, config.conditions)
    return DiffusionTranslator(config.diffusion, config.conditions, device)
