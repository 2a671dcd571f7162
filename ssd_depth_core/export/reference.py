"""The picture and the outputs that travel with an exported network, for engines to be held to."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
import onnxruntime
from ssd_depth_core.model_spec import ModelSpec
from ssd_depth_core.preprocess import normalize
from ssd_depth_core.reference_pair import (
    output_names,
    Precision,
    ReferencePair,
    save_reference,
)
from ssd_depth_core.synthdrive.drive import DriveConfig, Stage
import torch


def reference_picture(height: int, width: int) -> NDArray[np.uint8]:
    """Render the street that networks prove on.

    Noise would not do: far from what an int8 network was calibrated on, its engines may differ
    by more than one at fault does on a street.

    Args:
        height: Of the picture, pixels.
        width: Of the picture, pixels.

    Returns:
        (H, W, 3) RGB: a road ahead by day, always the same but for rounding.
    """
    config = DriveConfig(
        seed=0, duration_s=1.0, channels=('CAM_FRONT',), image_height=height, image_width=width
    )
    stage = Stage(config, 'day-clear', torch.device('cpu'))
    with torch.inference_mode():
        return stage.picture(0.0, config.mounts().camera('CAM_FRONT')).image


def write_reference(onnx_path: Path, spec: ModelSpec, precision: Precision) -> Path:
    """Write the street, and what an ONNX file makes of it, beside the file.

    Args:
        onnx_path: The file.
        spec: Of the file.
        precision: In which most of its layers compute.

    Returns:
        The path written.
    """
    options = onnxruntime.SessionOptions()
    # Operator by operator, as the file says: fused, Q/DQ becomes integer kernels that round in
    # their own ways, and these are what is to be judged.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(onnx_path, options, providers=['CPUExecutionProvider'])
    picture = reference_picture(spec.input_height, spec.input_width)
    ordered = picture if spec.colour_order == 'rgb' else picture[..., ::-1]
    image = normalize(ordered, spec.mean, spec.std)[None]
    names = output_names(spec)
    values = session.run(names, {'image': image})
    pair = ReferencePair(
        onnx_sha256=spec.onnx_sha256,
        precision=precision,
        picture=picture,
        outputs={
            name: value[0, 0].astype(np.float16) for name, value in zip(names, values, strict=True)
        },
    )
    return save_reference(pair, onnx_path)
