"""The proof, before a network is put to work, that its engine computes what it should."""

import logging
from pathlib import Path

import numpy as np
from ssd_depth_core.model_spec import ModelSpec
from ssd_depth_core.reference_pair import load_reference, reference_path_of
from ssd_depth_core.runtime.backends import Backend
from ssd_depth_core.runtime.network_input import NetworkInput

logger = logging.getLogger(__name__)


def check_backend(path: Path, spec: ModelSpec, backend: Backend) -> None:
    """Refuse an engine that disagrees with the picture and outputs stored beside a model.

    A model without them, from an older export, passes with a warning.

    Args:
        path: The `.onnx` file.
        spec: Of the network.
        backend: With the network loaded.

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
        return
    image = np.empty((1, 3, spec.input_height, spec.input_width), np.float32)
    NetworkInput(spec).fill(pair.picture, image[0])
    for name, difference in pair.differences(backend.run(image)).items():
        if not difference <= pair.tolerance:  # this way round, so that NaN fails
            how = 'relative, ' if name == 'inverse_depth' else ''
            raise ValueError(
                f'model {path} is computed wrongly by {backend.name} on {backend.device}: '
                f'{name} differs by {difference:.2g} ({how}root mean square) from what is stored '
                f'beside the model, more than the tolerance {pair.tolerance:g} of '
                f'{pair.precision}; take another backend or another version of it, or pass '
                'self_check=False to use it all the same'
            )
