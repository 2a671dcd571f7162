"""The manifest: which translated pictures there are, what made each, and whether to trust it.

<translated>/manifest.jsonl        one `ManifestLine` a picture, in the order in which they came
<translated>/<condition>/*.png     the pictures
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
import json
import math
import os
from pathlib import Path, PurePosixPath
from typing import Literal

from ssd_depth_core.checks import check_file
from ssd_depth_core.conditions import Condition
from ssd_depth_core.config import from_dict, to_dict

NAME = 'manifest.jsonl'
REMEDY = 'make translated pictures with `python -m training.translate`'


@dataclass(frozen=True, kw_only=True, slots=True)
class ManifestLine:
    """Hold one line of `manifest.jsonl`: a picture and its making."""

    schema_version: Literal[1] = 1
    """Of the line's form."""
    source_id: str
    """Id of the index line whose picture was translated."""
    condition: Condition
    """What it was translated to."""
    path: str
    """The picture, from the manifest's folder; every line has its own."""
    translator: str
    """What made it, e.g. `diffusion`, `procedural`."""
    models: dict[str, str] = field(default_factory=dict)
    """Hub id or folder of each model, by its part: `unet`, `controlnet`, `captioner`, ..."""
    seed: int
    """Of everything random in the making."""
    caption: str | None = None
    """What the source shows, in words; None where nobody looked."""
    prompt: str | None = None
    """Text that steered it; None where there was none."""
    image_prompt: str | None = None
    """File name of the photograph that steered it; None where there was none."""
    scores: dict[str, float] = field(default_factory=dict)
    """What the gate measured, by name."""
    accepted: bool
    """The gate's verdict; a student sees accepted pictures only, unless told otherwise."""
    reasons: tuple[str, ...] = ()
    """Why it was rejected."""
    unmeasured: tuple[str, ...] = ()
    """Scores that the source leaves undefined, e.g. `chroma_ratio` beside a grey one."""

    def __post_init__(self) -> None:
        """Validate.

        Raises:
            ValueError: If the path leads out of the folder, or a score is not finite.
        """
        path = PurePosixPath(self.path)
        if path.is_absolute() or '..' in path.parts or not path.name:
            raise ValueError(f"path must lie in the manifest's folder, got {self.path!r}")
        for name, score in self.scores.items():
            if not math.isfinite(score):  # JSON has no such numbers
                raise ValueError(f'score {name} must be finite, got {score}')


def read_manifest(folder: Path) -> list[ManifestLine]:
    """Read the pictures that are complete; translation may still be at work.

    Args:
        folder: Holds `manifest.jsonl`.

    Returns:
        In the order of the file.

    Raises:
        FileNotFoundError: If there is no manifest.
        ValueError: If it is empty, a line breaks the form, or a picture comes twice.
    """
    path = folder / NAME
    check_file(path, 'manifest', REMEDY)
    complete, _, _ = path.read_text().rpartition('\n')  # a line without end is being written
    lines, known = [], set()
    for number, text in enumerate(complete.splitlines(), 1):
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f'{path}:{number} is not JSON ({error}); {REMEDY}') from None
        line = from_dict(ManifestLine, values, f'{path}:{number}')
        if line.path in known:
            raise ValueError(f'{path}:{number}: picture {line.path} comes twice; {REMEDY}')
        known.add(line.path)
        lines.append(line)
    return lines


def append_manifest(folder: Path, lines: Iterable[ManifestLine]) -> None:
    """Add pictures that lie in the folder by now; what a killed run left half-written is cut off.

    Args:
        folder: Made where missing.
        lines: On the disk when this returns, so that a picture counts once its line is there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / NAME).open('a+b') as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b'\n':
                file.seek(0)
                file.truncate(file.read().rfind(b'\n') + 1)
        file.write(b''.join(json.dumps(to_dict(line)).encode() + b'\n' for line in lines))
        file.flush()
        os.fsync(file.fileno())
