"""Frames that a network is calibrated on, and others that it is scored on, by condition."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.conditions import CONDITIONS
from ssd_depth_core.data.index import read_header, read_lines
from ssd_depth_core.data.rendered import EvaluationFrames, Frame, read_frames
from ssd_depth_core.data.rendered_translations import with_translations
from ssd_depth_core.data.triplets import TripletConfig
from ssd_depth_core.export.int8_gate import Frames
from ssd_depth_core.export.quantize import QuantizeConfig
from ssd_depth_core.learning.training import spread
from ssd_depth_core.learning.validation_sets import validation_sets
from ssd_depth_core.model_spec import ModelSpec

T = TypeVar('T')


def rendered_frames(
    folders: list[Path],
    spec: ModelSpec,
    config: QuantizeConfig,
    *,
    translated: Sequence[Path] = (),
    validation: Sequence[Path] = (),
) -> tuple[Frames, Frames]:
    """Take frames of rendered sets.

    Args:
        folders: One or more sets.
        spec: Of the network: size, mean and std of its input.
        config: How many frames, and the seed.
        translated: Folders of pictures that were translated from clear training views.
        validation: Sets for the gate; none: `folders`.

    Returns:
        Of the train split for the calibration, of the validation split for the gate; each under
        all the conditions that it has.

    Raises:
        FileNotFoundError: If a set is missing.
        ValueError: If a set is damaged, or a split has no frame.
    """
    rng = np.random.default_rng(config.seed)
    train = with_translations(read_frames(folders, 'train'), list(translated))
    calibration = _by_condition(
        train, spec, lambda known: drawn(known, config.num_calibration_frames, rng)
    )
    held_out = read_frames(list(validation) or folders, 'validation')
    return calibration, _by_condition(
        held_out, spec, lambda known: spread(known, config.num_gate_frames)
    )


def _by_condition(
    frames: Sequence[Frame], spec: ModelSpec, choose: Callable[[list[Frame]], list[Frame]]
) -> Frames:
    size = (spec.input_height, spec.input_width)
    return {
        condition: EvaluationFrames(
            choose([frame for frame in frames if condition in frame.conditions]),
            condition,
            size,
            spec.mean,
            spec.std,
        )
        for condition in sorted({name for frame in frames for name in frame.conditions})
    }


def indexed_frames(index: Path, spec: ModelSpec, config: QuantizeConfig) -> tuple[Frames, Frames]:
    """Take frames of an index.

    Args:
        index: Folder that `training.index_data` wrote.
        spec: Of the network: size, mean and std of its input.
        config: How many frames, and the seed.

    Returns:
        Of the train split for the calibration, which needs no truth; of the validation split for
        the gate, truth exact where the set was rendered, and LiDAR's otherwise.

    Raises:
        FileNotFoundError: If the index or the data set is missing.
        ValueError: If one of these is damaged, or a split has no frame.
    """
    rng, header = np.random.default_rng(config.seed), read_header(index)
    train = read_lines(index, 'train')
    some = [
        line
        for condition in CONDITIONS
        for line in drawn(
            [line for line in train if line.condition == condition],
            config.num_calibration_frames,
            rng,
        )
    ]
    plain = TripletConfig()
    return (
        validation_sets(header, some, spec, plain, config.num_calibration_frames, truth=False),
        validation_sets(
            header, read_lines(index, 'validation'), spec, plain, config.num_gate_frames
        ),
    )


def drawn(frames: Sequence[T], count: int, rng: np.random.Generator) -> list[T]:
    """Draw frames at random, each once.

    Args:
        frames: To draw from.
        count: How many.
        rng: Decides.

    Returns:
        Them in their own order, or all where there are no more.
    """
    numbers = rng.permutation(len(frames))[:count]
    return [frames[number] for number in sorted(numbers)]


def images_of(frames: Frames) -> list[NDArray[np.float32]]:
    """Read the inputs that a network is calibrated on.

    Args:
        frames: By condition.

    Returns:
        (3, H, W) each, normalised.
    """
    return [
        dataset[number]['image'].numpy()
        for dataset in frames.values()
        for number in range(len(dataset))  # type: ignore[arg-type]
    ]
