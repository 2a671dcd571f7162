"""What travels beside the weights: everything a runtime must know to run an ONNX file rightly."""

from dataclasses import dataclass, field
import json
import math
from pathlib import Path
from typing import Any, Literal

from ssd_depth_core.checks import check_file, sha256_of
from ssd_depth_core.config import from_dict, to_dict

SCHEMA_VERSION = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSpec:
    """Describe one ONNX depth network.

    The network takes `image`, (B, 3, H, W) float32, normalised, and gives `inverse_depth`,
    (B, 1, H, W) float32 [1/m] *as a camera of `canonical_focal_px` would see it*, and, where
    `has_confidence`, `confidence`, (B, 1, H, W) float32 in [0, 1].

    With f the live focal length in pixels *after* resizing to the input size,
    `depth = f / canonical_focal_px / inverse_depth`: an object twice as far in a camera of twice
    the focal length looks the same, and only the camera can tell the two apart.
    """

    name: str
    """What the model is called, for logs and tables."""
    onnx_sha256: str
    """Of the ONNX file that this spec describes; 64 hexadecimal digits."""
    input_height: int
    """Network input, pixels."""
    input_width: int
    """Network input, pixels."""
    colour_order: Literal['rgb', 'bgr'] = 'rgb'
    """Order of the input's three channels."""
    mean: tuple[float, float, float]
    """Subtracted per channel from an image in [0, 1], in `colour_order`."""
    std: tuple[float, float, float]
    """Divided by per channel after `mean`."""
    output_kind: Literal['inverse_depth'] = 'inverse_depth'
    """The only kind so far: canonical inverse depth [1/m]."""
    min_depth_m: float = 0.1
    """Canonical depth at the largest inverse depth the network can give."""
    max_depth_m: float = 80.0
    """Canonical depth at the smallest inverse depth; at or beyond it means 'out of range'."""
    has_confidence: bool = True
    """Whether there is a `confidence` output."""
    canonical_focal_px: float
    """Focal length at the input size for which the network's depth is metric, pixels."""
    training_data: str
    """What the weights have seen; synthetic data is called synthetic."""
    training_command: str
    """The exact command that made the weights."""
    training_config: dict[str, Any] = field(default_factory=dict)
    """Resolved config of that command, seed included; empty: not known."""
    training_commit: str = 'unknown'
    """Git commit of the code that ran it, `-dirty` appended where files were changed."""
    training_steps: int | None = None
    """Optimizer steps behind the weights; None: not known."""
    metrics: dict[str, dict[str, float]]
    """By condition, e.g. `{'night': {'abs_rel': 0.12, 'n': 200}}`."""
    licence: str
    """SPDX identifier of the weights' licence."""
    schema_version: int = SCHEMA_VERSION
    """Of this file's form."""

    def __post_init__(self) -> None:
        """Validate what the types cannot say.

        Raises:
            ValueError: If a value is out of its range.
        """
        if self.schema_version != SCHEMA_VERSION:
            raise ValueError(
                f'schema_version must be {SCHEMA_VERSION}, got {self.schema_version}; '
                'the model was exported by another version of ssd_depth_core, export it again'
            )
        if len(self.onnx_sha256) != 64 or set(self.onnx_sha256) - set('0123456789abcdef'):
            raise ValueError(f'onnx_sha256 must be 64 hex digits, got {self.onnx_sha256!r}')
        if self.input_height < 1 or self.input_width < 1:
            raise ValueError(
                f'input size must be positive, got {self.input_height}x{self.input_width}'
            )
        if not 0 < self.min_depth_m < self.max_depth_m < math.inf:
            raise ValueError(
                'depth range must be 0 < min_depth_m < max_depth_m, '
                f'got {self.min_depth_m} and {self.max_depth_m}'
            )
        if not 0 < self.canonical_focal_px < math.inf:
            raise ValueError(f'canonical_focal_px must be > 0, got {self.canonical_focal_px}')
        if not all(math.isfinite(mean) for mean in self.mean):
            raise ValueError(f'mean must be finite in every channel, got {self.mean}')
        if not all(0 < std < math.inf for std in self.std):
            raise ValueError(f'std must be > 0 and finite in every channel, got {self.std}')


def spec_path_of(onnx_path: Path) -> Path:
    """Tell where the spec of an ONNX file lies.

    Args:
        onnx_path: `<name>.onnx` or `<name>.int8.onnx`.

    Returns:
        The same path ending in `.json` instead of `.onnx`.

    Raises:
        ValueError: If the path does not end in `.onnx`.
    """
    if onnx_path.suffix != '.onnx':
        raise ValueError(f'model must be an .onnx file, got {onnx_path}; its .json lies beside it')
    return onnx_path.with_suffix('.json')


def load_spec(onnx_path: Path) -> ModelSpec:
    """Read the spec beside an ONNX file and verify that the two belong together.

    Args:
        onnx_path: The ONNX file.

    Returns:
        The spec; its sha256 is that of the file.

    Raises:
        FileNotFoundError: If either file is missing.
        ValueError: If the path does not end in `.onnx`, the JSON cannot be read or has unknown or
            missing fields, or it names another file's sha256.
    """
    remedy = 'export one with `python -m training.export`, or name none to use the shipped one'
    path = spec_path_of(onnx_path)
    check_file(onnx_path, 'model', remedy)
    check_file(path, 'ModelSpec', remedy)
    try:
        values = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f'ModelSpec {path} is no JSON ({error}); export it again') from None
    spec = from_dict(ModelSpec, values, str(path))
    digest = sha256_of(onnx_path)
    if digest != spec.onnx_sha256:
        raise ValueError(
            f'model {onnx_path} has sha256 {digest}, but {path} says {spec.onnx_sha256}; '
            'the file is damaged or belongs to another spec, copy both again'
        )
    return spec


def save_spec(spec: ModelSpec, onnx_path: Path) -> Path:
    """Write the spec beside its ONNX file.

    Args:
        spec: What to write.
        onnx_path: The ONNX file; not opened.

    Returns:
        The path written.

    Raises:
        ValueError: If the path does not end in `.onnx`.
    """
    path = spec_path_of(onnx_path)
    path.write_text(json.dumps(to_dict(spec), indent=2) + '\n')
    return path
