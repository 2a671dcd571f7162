"""The translation pipeline of a config: which class does what, joined with our own network."""

from dataclasses import replace
from pathlib import Path

from ssd_depth_core.data.frame_reader import FrameReader
from ssd_depth_core.data.index import read_header
from ssd_depth_core.data.sources import open_source
from ssd_depth_core.gdt.acceptance import Gate
from ssd_depth_core.gdt.captioner import make_captioner
from ssd_depth_core.gdt.depth_estimator import DepthEstimator
from ssd_depth_core.gdt.depth_prior import TransformersDepth
from ssd_depth_core.gdt.diffusion import DiffusionTranslator
from ssd_depth_core.gdt.exact_frames import ExactDepth
from ssd_depth_core.gdt.needed_models import require_models
from ssd_depth_core.gdt.patches import InPatches
from ssd_depth_core.gdt.pipeline import Pipeline
from ssd_depth_core.gdt.procedural import ProceduralTranslator
from ssd_depth_core.gdt.recipe import TranslateConfig
from ssd_depth_core.gdt.translator import Translator
import torch

from training._exported_depth import ExportedDepth, NUM_THREADS


def build_pipeline(config: TranslateConfig, index: Path, device: str) -> Pipeline:
    """Load all that a worker needs.

    Args:
        config: What to do.
        index: Folder of the frames' index.
        device: Where networks compute, e.g. `cpu` or `cuda`.

    Returns:
        The pipeline, reproducible to the bit on one kind of machine.

    Raises:
        FileNotFoundError: If the index or its data set is missing, or models are; all of those are
            named before any is loaded.
        ImportError: If a model needs a library that is not installed.
        ValueError: If a model is damaged or does not fit the others.
    """
    require_models(config)
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
        gate=Gate(config.gate, looks, device),
        models=captioner.models
        | ({'depth': 'exact'} if isinstance(depth, ExactDepth) else depth.models)
        | translator.models
        | {'gate': ', '.join(looks.models.values())}
        | ({} if config.gate.clip_model is None else {'gate_clip': config.gate.clip_model}),
        size=config.size,
    )


def _translator(config: TranslateConfig, device: str) -> Translator:
    if config.translator == 'procedural':
        return ProceduralTranslator(config.procedural, config.conditions)
    return DiffusionTranslator(config.diffusion, config.conditions, device)
