"""Measure how real translated pictures are, and whether they still show their source's depth.

    python -m bench.gdt_realism --data synthdrive_data/train synthdrive_data/train_queue \
        --config config/gdt/synthdrive_small.yaml --features runs/student/checkpoint.safetensors \
        --json docs/results/gdt_realism.json --plot docs/images/gdt_small.png

Held-out clear frames of some cities are translated, and compared with real pictures of the
condition from other cities: no street is on both sides. Beside the translators stand the real
pictures of the same frames, whose distance is that of pure chance, and the clear frames as they
are. The gate judges every picture by what the shipped student sees in it.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
import json
from pathlib import Path
import shlex
import sys
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.checks import check_file
from ssd_depth_core.conditions import Condition
from ssd_depth_core.config import load_yaml
from ssd_depth_core.data.rendered import (
    describe_sets,
    Frame,
    read_depth,
    read_frames,
    read_image,
)
from ssd_depth_core.gdt.acceptance import Gate, Verdict
from ssd_depth_core.gdt.control_image import control_image
from ssd_depth_core.gdt.depth_estimator import EstimatedDepth
from ssd_depth_core.gdt.depth_prior import DepthPriorConfig
from ssd_depth_core.gdt.diffusion import DiffusionTranslator
from ssd_depth_core.gdt.procedural import ProceduralTranslator
from ssd_depth_core.gdt.realism import (
    EncoderFeatures,
    Features,
    picture_statistics,
    realism_distance,
    scale_of,
)
from ssd_depth_core.gdt.recipe import TranslateConfig
from ssd_depth_core.gdt.translator import Request, Translation, Translator
from ssd_depth_core.learning.checkpoint import load_checkpoint
from ssd_depth_core.learning.training import spread
from ssd_depth_core.records import provenance, Result, write_result
from tqdm import tqdm

from training._exported_depth import ExportedDepth

SEED = 0
SHEET_FRAMES = 6
SHEET_WIDTH_PX = 224
"""Of each picture of the contact sheet."""
NOTES = (
    'Distances are squared kernel distances (KID) to real pictures of the condition, unbiased: '
    'chance alone gives 0 within the error, as the real twins show. `encoder` compares channel '
    "means and deviations of the shipped student's encoder, which learnt to see depth through "
    'night and rain and is blind to some of what tells them from the day; `statistics` compares '
    'tones, colours and detail. The two scales differ and compare within a column only. '
    '`accepted` is the share that the gate lets through; the scores after it are medians. Its eye '
    'is the shipped student, whose own errors at night are in them: the real twins say how much. '
    'Clear frames are rejected because nothing was translated.'
)
GATE_SCORES = ('trust', 'log_error', 'ordinal_agreement', 'edge_f1', 'sharpness')

Picture = NDArray[np.uint8]
Describe = Callable[[Sequence[Picture]], Features]


@dataclass(frozen=True, kw_only=True, slots=True)
class Halves:
    """Hold frames of which no city is in both."""

    translated: list[Frame]
    compared: list[Frame]


def halve(frames: Sequence[Frame]) -> Halves:
    """Part frames by city.

    Args:
        frames: Their ids begin with the city's number and a `_`.

    Returns:
        Every other city each.
    """
    cities = sorted({city_of(frame) for frame in frames})
    first = set(cities[::2])
    return Halves(
        translated=[frame for frame in frames if city_of(frame) in first],
        compared=[frame for frame in frames if city_of(frame) not in first],
    )


def city_of(frame: Frame) -> tuple[Path, str]:
    """Name the city that a frame was taken in.

    Args:
        frame: Of a set of random views.

    Returns:
        The set and the city's number.
    """
    return frame.folder, frame.line.id.partition('_')[0]


def requests_of(frames: Sequence[Frame], condition: Condition) -> list[Request]:
    """Ask for frames as translation does.

    Args:
        frames: With a clear picture and exact depth each.
        condition: What they are to become.

    Returns:
        One request each, with a seed of its own.
    """
    requests = []
    for number, frame in enumerate(frames):
        inverse_depth = np.nan_to_num(1 / read_depth(frame), nan=0.0).astype(np.float32)
        seeds = np.random.SeedSequence((SEED, number, *condition.encode()))
        requests.append(
            Request(
                picture=read_image(frame, 'day-clear'),
                depth=EstimatedDepth(inverse_depth, metric=True),
                K=np.array(frame.line.K),
                condition=condition,
                caption=None,
                seed=int(seeds.generate_state(1, np.uint64)[0] >> 1),
            )
        )
    return requests


def translate(
    translator: Translator, requests: Sequence[Request], batch_size: int
) -> list[Picture]:
    """Translate all.

    Args:
        translator: By which.
        requests: What to make.
        batch_size: Pictures at a time.

    Returns:
        In order.

    Raises:
        ValueError: If a picture could not be made.
    """
    pictures = []
    for start in tqdm(range(0, len(requests), batch_size), translator.name):
        for made in translator.translate(requests[start : start + batch_size]):
            if isinstance(made, str):
                raise ValueError(f'{translator.name} made no picture: {made}')
            pictures.append(made.picture)
    return pictures


def judge(gate: Gate, requests: Sequence[Request], pictures: Sequence[Picture]) -> list[Verdict]:
    """Let the gate judge one picture after the other.

    Args:
        gate: Looks at the pictures.
        requests: What was asked for.
        pictures: What was made.

    Returns:
        In order.
    """
    verdicts = []
    for request, picture in zip(requests, pictures, strict=True):
        made = Translation(picture=picture, prompt=None, image_prompt=None)
        verdicts += gate.judge([request], [made])
    return verdicts


def row_of(
    condition: Condition,
    method: str,
    distances: dict[str, tuple[float, float]],
    verdicts: Sequence[Verdict],
) -> dict[str, Any]:
    """Lay out one line of the table.

    Args:
        condition: Translated to.
        method: By which.
        distances: By features: distance and error.
        verdicts: Of the gate.

    Returns:
        Figures by column.
    """
    row: dict[str, Any] = {'condition': condition, 'method': method, 'pictures': len(verdicts)}
    for name, (distance, error) in distances.items():
        row |= {f'{name}_distance': round(distance, 3), f'{name}_error': round(error, 3)}
    row['accepted'] = round(float(np.mean([verdict.accepted for verdict in verdicts])), 3)
    for score in GATE_SCORES:
        values = [verdict.scores[score] for verdict in verdicts if score in verdict.scores]
        row[score] = round(float(np.median(values)), 3) if values else None
    return row


def describe_training(pipeline: Path) -> str:
    """Say how the diffusion was trained.

    Args:
        pipeline: Folder that `training.train_translator` left.

    Returns:
        One sentence.

    Raises:
        FileNotFoundError: If the folder is another's.
    """
    path = pipeline / 'training.json'
    check_file(
        path, 'record of a training', 'train one with `python -m training.train_translator`'
    )
    info = json.loads(path.read_text())
    batch_size = info['training_config']['diffusion']['loop']['batch_size']
    return (
        f'The small diffusion has taken {info["step"]} steps of {batch_size} pictures '
        f'(commit {info["training_commit"]}).'
    )


def draw_sheet(rows: Sequence[Sequence[Picture]], titles: Sequence[str]) -> Picture:
    """Lay pictures out in rows under titles.

    Args:
        rows: Of equally many pictures, all of one size.
        titles: One a column.

    Returns:
        (H, W, 3) RGB.
    """
    height, width = rows[0][0].shape[:2]
    size = (SHEET_WIDTH_PX, round(height * SHEET_WIDTH_PX / width))
    header = np.full((24, SHEET_WIDTH_PX * len(titles), 3), 255, np.uint8)
    for number, title in enumerate(titles):
        origin = (number * SHEET_WIDTH_PX + 6, 17)
        cv2.putText(
            header, title, origin, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA
        )
    lines = [
        np.concatenate(
            [cv2.resize(picture, size, interpolation=cv2.INTER_AREA) for picture in row], axis=1
        )
        for row in rows
    ]
    return np.concatenate([header, *lines])


def distances_to(
    real: Sequence[Picture],
    made: dict[str, list[Picture]],
    usual: Sequence[Picture],
    describers: dict[str, Describe],
) -> dict[str, dict[str, tuple[float, float]]]:
    """Measure how far pictures are from real ones.

    Args:
        real: Of other streets.
        made: By who made them.
        usual: Real ones to train on, whose features set the scale.
        describers: What features are compared, by name.

    Returns:
        By who made them and by features: distance and error.
    """
    distances: dict[str, dict[str, tuple[float, float]]] = {name: {} for name in made}
    for features, describe in describers.items():
        scale = scale_of(describe(usual))
        reference = scale(describe(real))
        for name, pictures in made.items():
            found = realism_distance(scale(describe(pictures)), reference, seed=SEED)
            distances[name][features] = (found.distance, found.error)
    return distances


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and write what was found.

    Args:
        argv: Arguments without the program's name; None: those of the process.

    Returns:
        Exit status.
    """
    args = _parse(argv)
    config = load_yaml(TranslateConfig, args.config, tuple(args.set))

    # 1. Who translates, and who looks.
    translators: dict[str, Translator] = {
        'procedural': ProceduralTranslator(config.procedural, config.conditions),
        'small diffusion': DiffusionTranslator(config.diffusion, config.conditions, args.device),
    }
    gate = Gate(config.gate, ExportedDepth(DepthPriorConfig(kind='onnx')))
    network, _ = load_checkpoint(args.features)
    describers: dict[str, Describe] = {
        'encoder': EncoderFeatures(network.encoder, network.config.mean, network.config.std),
        'statistics': picture_statistics,
    }

    # 2. Which frames.
    held_out = read_frames(args.data, 'validation')
    halves = halve(held_out)
    frames = spread(halves.translated, args.frames)
    training_frames = read_frames(args.data, 'train')

    rows: list[dict[str, Any]] = []
    sheet = [
        [read_image(frame, 'day-clear'), control_image(np.nan_to_num(1 / read_depth(frame)))]
        for frame in spread(frames, SHEET_FRAMES)
    ]
    titles = ['clear, held out', 'exact depth']
    for condition in config.conditions:
        # 3. Make the pictures.
        requests = requests_of(frames, condition)
        made = {
            'real twins': [read_image(frame, condition) for frame in frames],
            'clear, untranslated': [request.picture for request in requests],
        }
        for name, translator in translators.items():
            made[name] = translate(translator, requests, config.batch_size)

        # 4. Compare them with real ones of other streets, on the scale of training pictures.
        real = [read_image(frame, condition) for frame in halves.compared]
        usual = [frame for frame in training_frames if condition in frame.line.conditions]
        some = [read_image(frame, condition) for frame in spread(usual, len(real))]
        distances = distances_to(real, made, some, describers)
        for name, pictures in made.items():
            verdicts = judge(gate, requests, pictures)
            rows.append(row_of(condition, name, distances[name], verdicts))
            print(rows[-1], flush=True)

        # 5. Show some.
        for name in ('real twins', *translators):
            for line, picture in zip(sheet, spread(made[name], SHEET_FRAMES), strict=True):
                line.append(picture)
            titles.append(f'{condition}: {name}')

    arguments = sys.argv[1:] if argv is None else argv
    result = Result(
        title='How real translated pictures are, and whether they keep the depth of their source',
        command=shlex.join(['python', '-m', 'bench.gdt_realism', *arguments]),
        seed=SEED,
        data=f'synthetic: {len(frames)} held-out clear frames translated, compared with '
        f'{len(halves.compared)} pictures of other held-out streets; {describe_sets(held_out)}',
        rows=tuple(rows),
        notes=f'{NOTES} {describe_training(Path(config.diffusion.model))}',
        **provenance(),
    )
    write_result(result, args.json)
    if args.plot:
        args.plot.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(args.plot), draw_sheet(sheet, titles)[..., ::-1])
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or '').partition('\n')[0])
    parser.add_argument('--data', type=Path, nargs='+', required=True, help='rendered sets')
    parser.add_argument('--config', type=Path, required=True, help='of the translation')
    parser.add_argument(
        '--set', action='append', default=[], metavar='FIELD=VALUE', help='replace one field of it'
    )
    parser.add_argument(
        '--features', type=Path, required=True, help='checkpoint of the depth network that sees'
    )
    parser.add_argument('--frames', type=int, default=128, help='to translate, at most')
    parser.add_argument('--device', default='cpu', help='of the diffusion (default: cpu)')
    parser.add_argument('--json', type=Path, required=True, help='where the figures go')
    parser.add_argument('--plot', type=Path, help='where the contact sheet goes')
    return parser.parse_args(argv)


if __name__ == '__main__':
    sys.exit(main())
