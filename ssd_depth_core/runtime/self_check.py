"""The proof, before a network is put to work, that its engine computes what it should."""

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.model_spec import ModelSpec
from ssd_depth_core.reference_pair import load_reference, reference_path_of, ReferencePair
from ssd_depth_core.runtime.backends import Backend
from ssd_depth_core.runtime.backends.pictures import PictureBackend
from ssd_depth_core.runtime.network_input import NetworkInput
from ssd_depth_core.runtime.postprocess import metric_depth

logger = logging.getLogger(__name__)


def check_backend(path: Path, spec: ModelSpec, backend: Backend) -> dict[str, float]:
    """Refuse an engine that disagrees with the picture and outputs stored beside a model.

    A model without them, from an older export, passes with a warning.

    Args:
        path: The `.onnx` file.
        spec: Of the network.
        backend: With the network loaded.

    Returns:
        The difference of each output by name, root mean square, but for confidence relative; empty
        where nothing is stored.

    Raises:
        ValueError: If an output differs by more than the tolerance of the model's precision, or
            what is stored cannot be read or belongs to another model.
    """
    pair = load_reference(path, spec)
    if pair is None:
        logger.warning(
            '%s is missing, so %s is not checked on %s; export the model again',
            reference_path_of(path), backend.name, backend.device,
        )  # fmt: skip
        return {}
    image = np.empty((1, 3, spec.input_height, spec.input_width), np.float32)
    NetworkInput(spec).fill(pair.picture, image[0])
    differences = pair.differences(backend.run(image))
    if isinstance(backend, PictureBackend):  # which goes this way, and not the other, to work
        depth = backend.predict_pictures([pair.picture], [1.0])['depth'][0, 0]
        differences['depth'] = _difference(depth, pair, spec)
    for name, difference in differences.items():
        if not difference <= pair.tolerance:  # this way round, so that NaN fails
            how = '' if name == 'confidence' else 'relative, '
            raise ValueError(
                f'model {path} is computed wrongly by {backend.name} on {backend.device}: '
                f'{name} differs by {difference:.2g} ({how}root mean square) from what is stored '
                f'beside the model, more than the tolerance {pair.tolerance:g} of '
                f'{pair.precision}; take another backend or another version of it, delete its '
                'cached engine if it has one, or pass self_check=False (the node: self_check:='
                'false) to use it all the same'
            )
    return differences


def _difference(depth: NDArray[np.float32], pair: ReferencePair, spec: ModelSpec) -> float:
    """Compare depth [m] with the stored inverse depth's; 1 where just one is beyond range."""
    expected = metric_depth(pair.outputs['inverse_depth'].astype(np.float32), spec, None)
    beyond = np.isnan(depth), np.isnan(expected)
    with np.errstate(invalid='ignore'):
        error = np.where(beyond[0] | beyond[1], beyond[0] != beyond[1], depth / expected - 1)
    return float(np.sqrt(np.mean(error**2)))
