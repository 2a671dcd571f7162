"""A picture and what a network makes of it, beside the ONNX file, for engines to prove on."""

from dataclasses import dataclass
from pathlib import Path
from typing import get_args, Literal
from zipfile import BadZipFile
import zlib

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.checks import check_image
from ssd_depth_core.model_spec import ModelSpec, spec_path_of

Precision = Literal['fp32', 'fp16', 'int8']

TOLERANCES: dict[str, float] = {'fp32': 0.005, 'fp16': 0.02, 'int8': 0.1}
"""Largest difference by precision, in the measure of `ReferencePair.differences`.

For the small student on rendered streets, engines on CPUs differ by 2e-7 in fp32, by 0.002 where
they compute in bfloat16 (so TensorFloat-32, of three more bits, is within), and by 0.033 in int8,
where one step more or less in one layer is amplified by those behind it. An engine at fault is
off by far more."""

_DEPTH, _CONFIDENCE = 'inverse_depth', 'confidence'


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ReferencePair:
    """Hold an input and the outputs of one ONNX file, computed as the file says to the letter."""

    onnx_sha256: str
    """Of the ONNX file."""
    precision: Precision
    """In which most of its layers compute, whatever the type of its inputs and outputs."""
    picture: NDArray[np.uint8]
    """(H, W, 3) RGB, of the network's input size."""
    outputs: dict[str, NDArray[np.float16]]
    """(H, W) each, by name; half precision rounds by 0.0002 in the measure of `differences`."""

    def __post_init__(self) -> None:
        """Validate what the types cannot say.

        Raises:
            TypeError: If the picture is not uint8.
            ValueError: If the precision is unknown, the picture is not (H, W, 3), or an output is
                of another size.
        """
        if self.precision not in get_args(Precision):
            raise ValueError(
                f'precision must be one of {", ".join(get_args(Precision))}, '
                f'got {self.precision!r}'
            )
        check_image(self.picture, 'picture')
        for name, values in self.outputs.items():
            if values.shape != self.picture.shape[:2]:
                raise ValueError(
                    f'{name} must be {self.picture.shape[:2]} as the picture, got {values.shape}'
                )

    @property
    def tolerance(self) -> float:
        """Largest difference of an engine that is not at fault."""
        return TOLERANCES[self.precision]

    def differences(self, outputs: dict[str, NDArray[np.float32]]) -> dict[str, float]:
        """Compare an engine's outputs with these.

        Args:
            outputs: For `picture`, by name, (1, 1, H, W) each.

        Returns:
            The root of the mean square over pixels, by name: of inverse depth relative to the
            stored one, of confidence as it is. A mean alone would miss a spoilt corner, a
            quantile a small shift of everything. NaN where a value is.
        """
        result = {}
        for name, stored in self.outputs.items():
            expected = stored.astype(np.float64)
            with np.errstate(invalid='ignore'):  # what is not finite shall come out as such
                error = outputs[name][0, 0] - expected
                error /= expected if name == _DEPTH else 1.0
                result[name] = float(np.sqrt(np.mean(error**2)))
        return result


def output_names(spec: ModelSpec) -> tuple[str, ...]:
    """Name what a network gives.

    Args:
        spec: Of the network.

    Returns:
        The names of its outputs.
    """
    return (_DEPTH, _CONFIDENCE) if spec.has_confidence else (_DEPTH,)


def reference_path_of(onnx_path: Path) -> Path:
    """Tell where the pair of an ONNX file lies.

    Args:
        onnx_path: `<name>.onnx` or `<name>.int8.onnx`.

    Returns:
        The same path ending in `.check.npz` instead of `.onnx`.

    Raises:
        ValueError: If the path does not end in `.onnx`.
    """
    return spec_path_of(onnx_path).with_suffix('.check.npz')


def load_reference(onnx_path: Path, spec: ModelSpec) -> ReferencePair | None:
    """Read the pair beside an ONNX file and verify that the two belong together.

    Args:
        onnx_path: The ONNX file; not opened.
        spec: Of the file.

    Returns:
        The pair; None where there is none.

    Raises:
        ValueError: If the path does not end in `.onnx`, or the pair cannot be read or is that of
            another file.
    """
    path = reference_path_of(onnx_path)
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as arrays:
            pair = ReferencePair(
                onnx_sha256=arrays['onnx_sha256'].item(),
                precision=arrays['precision'].item(),
                picture=arrays['picture'],
                outputs={name: arrays[name] for name in output_names(spec)},
            )
    except (BadZipFile, EOFError, KeyError, OSError, TypeError, ValueError, zlib.error) as error:
        raise ValueError(
            f'reference pair {path} cannot be read ({error}); copy it again, or export the model '
            'again'
        ) from None
    if pair.onnx_sha256 != spec.onnx_sha256:
        raise ValueError(
            f'reference pair {path} is of a model of sha256 {pair.onnx_sha256}, but {onnx_path} '
            f'has {spec.onnx_sha256}; copy both again'
        )
    return pair


def save_reference(pair: ReferencePair, onnx_path: Path) -> Path:
    """Write a pair beside its ONNX file.

    Args:
        pair: What to write.
        onnx_path: The ONNX file; not opened.

    Returns:
        The path written.

    Raises:
        ValueError: If the path does not end in `.onnx`.
    """
    path = reference_path_of(onnx_path)
    np.savez_compressed(
        path,
        allow_pickle=False,
        onnx_sha256=np.array(pair.onnx_sha256),
        precision=np.array(pair.precision),
        picture=pair.picture,
        **pair.outputs,
    )
    return path
