"""Where predictions come from: a folder that any method can fill, or a function that predicts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.data.index import FrameSource, IndexLine, Neighbour

_NAMED = 5  # missing files that a message lists
_CACHED = 16  # more than the cameras of a rig, whose frames alternate in an index


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """Hold what a method says about one picture."""

    depth: NDArray[np.floating]
    """(h, w) over the whole picture [m]; NaN beyond range."""
    confidence: NDArray[np.floating] | None
    """(h, w) in [0, 1], promised probability of an error below a factor of 1.25; None if none."""


class PredictionSource(Protocol):
    """Give a method's predictions for the frames of an index."""

    def predict(self, line: IndexLine) -> Prediction | None:
        """Predict a frame; None where there is no prediction for it."""
        ...

    def predict_mirrored(self, line: IndexLine) -> NDArray[np.floating] | None:
        """Predict the depth of the mirrored picture, mirrored back; None where it is not known."""
        ...

    def predict_previous(self, line: IndexLine) -> NDArray[np.floating] | None:
        """Predict the depth of the frame before; None where it is not known."""
        ...


class FolderPredictions:
    """Read `<id>.npy`, depth in metres, and `<id>.confidence.npy` where there is one."""

    def __init__(
        self,
        folder: Path,
        lines: Sequence[IndexLine],
        *,
        mirrored: Path | None = None,
        allow_missing: bool = False,
    ) -> None:
        """Look whether the predictions are there.

        Args:
            folder: Holds a prediction a frame.
            lines: The frames.
            mirrored: Holds the predictions for the mirrored pictures, as the method gave them (not
                mirrored back), under the same names; None: there are none.
            allow_missing: Whether frames may lack a prediction; they are then left out.

        Raises:
            FileNotFoundError: If a folder is missing, or a prediction and none may be.
        """
        self._folder = folder
        self._mirrored = mirrored
        self._id_of_image = {line.image: line.id for line in lines}
        for place in filter(None, (folder, mirrored)):
            if not place.is_dir():
                raise FileNotFoundError(f'predictions not found: {place} is no folder')
            missing = [line.id for line in lines if not (place / f'{line.id}.npy').is_file()]
            if missing and not allow_missing:
                names = ', '.join(f'{name}.npy' for name in missing[:_NAMED])
                raise FileNotFoundError(
                    f'{len(missing)} of {len(lines)} predictions are missing in {place}, first '
                    f'{names}; predict them, or score the others with --allow-missing'
                )

    def predict(self, line: IndexLine) -> Prediction | None:
        """Read a frame's prediction.

        Args:
            line: The frame.

        Returns:
            Depth and, where its file exists, confidence; None where there is no file.

        Raises:
            ValueError: If a file is damaged or holds no such map.
        """
        path = self._folder / f'{line.id}.npy'
        if not path.is_file():
            return None
        depth = read_map(path, 'depth')
        path = self._folder / f'{line.id}.confidence.npy'
        confidence = read_map(path, 'confidence') if path.is_file() else None
        if confidence is not None and not (
            np.nanmin(confidence, initial=0.0) >= 0 and np.nanmax(confidence, initial=0.0) <= 1
        ):
            raise ValueError(
                f'confidence {path} must lie in [0, 1], got '
                f'{np.nanmin(confidence):g} to {np.nanmax(confidence):g}'
            )
        return Prediction(depth=depth, confidence=confidence)

    def predict_mirrored(self, line: IndexLine) -> NDArray[np.floating] | None:
        """Read the prediction for the mirrored picture.

        Args:
            line: The frame.

        Returns:
            (h, w) mirrored back [m]; None where there is no file.

        Raises:
            ValueError: If the file is damaged or holds no such map.
        """
        if self._mirrored is None:
            return None
        path = self._mirrored / f'{line.id}.npy'
        return read_map(path, 'depth')[:, ::-1] if path.is_file() else None

    def predict_previous(self, line: IndexLine) -> NDArray[np.floating] | None:
        """Read the prediction for the frame before, where the index holds it as a frame too.

        Args:
            line: The frame.

        Returns:
            (h, w) [m]; None where the index does not hold it or there is no file.

        Raises:
            ValueError: If the file is damaged or holds no such map.
        """
        known = line.previous and self._id_of_image.get(line.previous.image)
        path = self._folder / f'{known}.npy'
        return read_map(path, 'depth') if known and path.is_file() else None


class LivePredictions:
    """Run a method on the pictures of an index."""

    def __init__(
        self,
        predict: Callable[[NDArray[np.uint8], NDArray[np.float64]], Prediction],
        source: FrameSource,
    ) -> None:
        """Join a method and its pictures.

        Args:
            predict: From a picture, (H, W, 3) uint8 RGB, and its K, (3, 3), to a prediction.
            source: Of the pictures.
        """
        self._predict = predict
        self._source = source
        self._recent: dict[str, Prediction] = {}

    def predict(self, line: IndexLine) -> Prediction:
        """Predict a frame.

        Args:
            line: The frame.

        Returns:
            Depth and confidence.
        """
        return self._predict_frame(line, line.K)

    def predict_mirrored(self, line: IndexLine) -> NDArray[np.floating]:
        """Predict the mirrored picture.

        Args:
            line: The frame.

        Returns:
            (h, w) mirrored back [m].
        """
        image = np.ascontiguousarray(self._source.read_image(line)[:, ::-1])
        K = np.array(line.K)
        K[0, 2] = line.size[1] - 1 - K[0, 2]
        return self._predict(image, K).depth[:, ::-1]

    def predict_previous(self, line: IndexLine) -> NDArray[np.floating] | None:
        """Predict the frame before.

        Args:
            line: The frame.

        Returns:
            (h, w) [m]; None at the beginning of a drive.
        """
        if line.previous is None:
            return None
        return self._predict_frame(line.previous, line.K).depth

    def _predict_frame(
        self, frame: IndexLine | Neighbour, K: tuple[tuple[float, ...], ...]
    ) -> Prediction:
        # In a drive the frame before is often the one that was predicted a moment ago.
        if frame.image not in self._recent:
            if len(self._recent) == _CACHED:
                del self._recent[next(iter(self._recent))]
            image = self._source.read_image(frame)
            self._recent[frame.image] = self._predict(image, np.array(K))
        return self._recent[frame.image]


def read_map(path: Path, name: str) -> NDArray[np.floating]:
    """Read one `.npy` map.

    Args:
        path: The file.
        name: What it holds, for the messages.

    Returns:
        (h, w) floating point.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged, or no (h, w) array of floating-point numbers.
    """
    try:
        values = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f'{name} {path} is no .npy file or a damaged one: {error}') from None
    if not isinstance(values, np.ndarray) or values.ndim != 2 or 0 in values.shape:
        got = getattr(values, 'shape', type(values).__name__)
        raise ValueError(f'{name} {path} must be (h, w), got {got}')
    if not np.issubdtype(values.dtype, np.floating):
        raise ValueError(
            f'{name} {path} must be floating point, got {values.dtype}; write depth in metres'
        )
    return values
