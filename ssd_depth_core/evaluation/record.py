"""What an evaluation leaves behind: `metrics.json`, and `frames.jsonl` beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
import json
from pathlib import Path
from typing import Literal

from ssd_depth_core.checks import check_file
from ssd_depth_core.config import from_dict, to_dict
from ssd_depth_core.data.index import Split
from ssd_depth_core.evaluation.frame_score import FrameScore
from ssd_depth_core.evaluation.protocol import EvaluationConfig, Variant

REMEDY = 'write it with `python -m training.evaluate`'
METRICS, FRAMES = 'metrics.json', 'frames.jsonl'


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """Hold a mean over frames and how far it can be trusted."""

    mean: float
    """Each frame counts once."""
    low: float | None
    """Lower end of the 95 % interval by bootstrap over scenes; None: fewer than two scenes."""
    high: float | None
    """Upper end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricRow:
    """Hold the field's seven metrics of one condition, variant and cap."""

    condition: str
    """As `protocol.rows_of` names rows."""
    variant: Variant
    """How predictions were treated."""
    cap_m: float
    """Range that was scored."""
    frames: int
    """Frames in the mean."""
    scenes: int
    """Scenes that they come from."""
    figures: dict[str, Estimate]
    """By the names of `DepthMetrics`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DistanceRow:
    """Hold the errors of one condition in one range of true distance; plain, main cap."""

    condition: str
    """As `protocol.rows_of` names rows."""
    near_m: float
    """Where the bin begins."""
    far_m: float
    """Where it ends."""
    frames: int
    """Frames with a pixel in it."""
    pixels: int
    """Their pixels."""
    figures: dict[str, Estimate]
    """`abs_rel`, `rmse` [m], `a1`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfidenceRow:
    """Hold how well one condition's confidence ranks and promises; plain, main cap."""

    condition: str
    """As `protocol.rows_of` names rows."""
    frames: int
    """Frames with confidence."""
    figures: dict[str, Estimate]
    """`aurc`, `aurc_oracle`, `aurc_random`: see `confidence.ConfidenceScore`."""
    normalised_aurc: float | None
    """0: the oracle's order, 1: no order; None where no order is better than another."""
    ece: float
    """Expected calibration error, over the pixels of all frames."""
    risk: tuple[float, ...]
    """Mean over frames at equal steps of coverage, the last of which is 100 %."""
    risk_oracle: tuple[float, ...]
    """The same of the oracle."""
    bin_pixels: tuple[int, ...]
    """Pixels by bin of confidence."""
    bin_confidence: tuple[float | None, ...]
    """Mean confidence of a bin; None where it is empty."""
    bin_correct: tuple[float | None, ...]
    """Measured share within a factor of 1.25; None where the bin is empty."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FurtherRow:
    """Hold further figures of one condition, over the frames that have them."""

    condition: str
    """As `protocol.rows_of` names rows."""
    frames: dict[str, int]
    """Frames behind each figure."""
    figures: dict[str, Estimate]
    """By name; only those that a frame has."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tables:
    """Hold all figures."""

    metrics: tuple[MetricRow, ...]
    """The field's figures."""
    distance: tuple[DistanceRow, ...]
    """Errors by true distance."""
    confidence: tuple[ConfidenceRow, ...]
    """Empty where the method gives no confidence."""
    further: tuple[FurtherRow, ...]
    """`flicker`, `scale_change`, `edge_accuracy_px`, `edge_completeness_px`, `edge_f1`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """Hold `metrics.json`: figures, and what made them."""

    schema_version: Literal[1] = 1
    """Of this file's form."""
    method: str
    """What was scored, in words."""
    split: Split
    """Of the index."""
    data: str
    """The index and what it is made of."""
    command: str
    """The exact command."""
    commit: str
    """Git commit of the code, as `code_commit` gives it."""
    machine: str
    """Processor, cores and accelerator, in words."""
    date: str
    """ISO day."""
    options: EvaluationConfig
    """The protocol, the bootstrap's seed included."""
    frames_indexed: int
    """In the split."""
    frames_missing: int
    """Without a prediction, left out."""
    frames_without_truth: int
    """Without a valid pixel, skipped."""
    absent: tuple[str, ...]
    """What could not be measured, and why."""
    tables: Tables
    """All figures."""
    compared_with: str | None = None
    """The other result; None: none."""
    comparison: tuple[MetricRow, ...] = ()
    """This method minus the other on the same frames: the figures are mean differences."""

    @property
    def frames_scored(self) -> int:
        """Frames behind the figures."""
        return self.frames_indexed - self.frames_missing - self.frames_without_truth


def write_evaluation(evaluation: Evaluation, frames: Sequence[FrameScore], out: Path) -> None:
    """Write `metrics.json` and `frames.jsonl`.

    Args:
        evaluation: The figures.
        frames: What they were made of.
        out: The folder; made where missing.
    """
    out.mkdir(parents=True, exist_ok=True)
    with (out / FRAMES).open('w') as file:
        for frame in frames:
            file.write(json.dumps(to_dict(frame)) + '\n')
    (out / METRICS).write_text(json.dumps(to_dict(evaluation), indent=2, allow_nan=False) + '\n')


def read_evaluation(path: Path) -> Evaluation:
    """Read a `metrics.json`.

    Args:
        path: The file, or the folder that holds it.

    Returns:
        The record.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no such record.
    """
    path = path / METRICS if path.is_dir() else path
    check_file(path, 'evaluation', REMEDY)
    try:
        values = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f'evaluation {path} is no JSON ({error}); {REMEDY}') from None
    return from_dict(Evaluation, values, str(path))


def read_frames(path: Path) -> list[FrameScore]:
    """Read the frames that lie beside a `metrics.json`.

    Args:
        path: The `metrics.json`, or the folder that holds it.

    Returns:
        In the order of the file.

    Raises:
        FileNotFoundError: If there are none.
        ValueError: If a line is no such record.
    """
    path = (path if path.is_dir() else path.parent) / FRAMES
    check_file(path, 'frames of the evaluation', REMEDY)
    frames = []
    for number, text in enumerate(path.read_text().splitlines(), 1):
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f'{path}:{number} is not JSON ({error}); {REMEDY}') from None
        frames.append(from_dict(FrameScore, values, f'{path}:{number}'))
    return frames
