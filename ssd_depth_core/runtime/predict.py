"""`depth_predict`: depth for picture files, without ROS."""

import argparse
from collections import Counter
import math
from pathlib import Path
import sys
from typing import get_args

import cv2
import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.model_spec import ModelSpec
from ssd_depth_core.preprocess import resize_image
from ssd_depth_core.runtime.backends import BackendName
from ssd_depth_core.runtime.colormap import colorize, legend
from ssd_depth_core.runtime.images import read_image
from ssd_depth_core.runtime.predictor import DepthPredictor

_EXAMPLE = 'example: depth_predict street/*.jpg --out depth --fx 1266 --cx 816 --cy 491'
_VIEW_WIDTH = 640  # two pictures and the legend fit side by side on a small screen


def side_by_side(image: NDArray[np.uint8], depth: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Show a picture, its depth in colours, and what the colours mean.

    Args:
        image: (H, W, 3) uint8 RGB.
        depth: (h, w) over the whole picture, on any grid [m].

    Returns:
        (H', 1350, 3) uint8 RGB, in the picture's own aspect ratio.
    """
    height = max(1, round(_VIEW_WIDTH * image.shape[0] / image.shape[1]))
    size = (_VIEW_WIDTH, height)
    picture = resize_image(image, size[::-1])
    # Nearest: a colour between near and far would be a distance that nobody predicted.
    coloured = cv2.resize(colorize(depth), size, interpolation=cv2.INTER_NEAREST)
    return np.hstack([picture, coloured, legend(height)])


def main(argv: list[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: Command line; None takes the process's own.

    Returns:
        0; 1 if a picture failed (the others are done); 2 if nothing could be started.
    """
    options = _parse(argv)
    twice = [name for name, count in Counter(p.stem for p in options.image).items() if count > 1]
    if twice:
        return _fail(f'several pictures would be written as {twice[0]}.npy; give each its own run')
    try:
        predictor = DepthPredictor.load(options.model, options.backend)
        options.out.mkdir(parents=True, exist_ok=True)
    except (OSError, ImportError, ValueError) as error:
        return _fail(str(error))
    if options.fx is None:
        print(_assumption(predictor.spec), file=sys.stderr)

    failed = 0
    for number, path in enumerate(options.image, 1):
        progress = f'[{number}/{len(options.image)}]'
        try:
            image = read_image(path)
            prediction = predictor.predict(image, _intrinsics(options, image.shape[:2]))
            _write(options.out / path.stem, image, prediction.depth)
        except (OSError, ValueError, cv2.error) as error:
            failed += 1
            print(f'{progress} error: {_with_path(path, error)}', file=sys.stderr)
            continue
        written = f'{options.out / path.stem}.npy, .png'
        print(f'{progress} {path} -> {written}; {_summary(prediction.depth)}')
    if failed:
        print(f'{failed} of {len(options.image)} pictures failed', file=sys.stderr)
    return 1 if failed else 0


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='depth_predict',
        description='Write depth for pictures: NAME.npy (float32 metres on the '
        "network's grid, NaN beyond range) and NAME.png (to look at).",
        epilog=_EXAMPLE,
    )
    parser.add_argument(
        'image', nargs='+', type=Path, help='JPEG, PNG, ...; as stored, EXIF is ignored'
    )
    parser.add_argument('--out', type=Path, required=True, help='folder for the results; is made')
    parser.add_argument('--model', type=Path, help='ONNX file; the shipped student if left out')
    parser.add_argument('--backend', choices=get_args(BackendName), default='auto')
    parser.add_argument('--fx', type=float, help='focal length in pixels of the pictures')
    parser.add_argument('--fy', type=float, help='fx if left out')
    parser.add_argument('--cx', type=float, help="the picture's middle if left out")
    parser.add_argument('--cy', type=float, help="the picture's middle if left out")
    options = parser.parse_args(argv)
    if options.fx is None and (options.fy, options.cx, options.cy) != (None, None, None):
        parser.error('--fy, --cx and --cy need --fx')
    return options


def _intrinsics(options: argparse.Namespace, size: tuple[int, int]) -> NDArray[np.float64] | None:
    """Build K from the options; None where none was given."""
    if options.fx is None:
        return None
    height, width = size
    fy = options.fx if options.fy is None else options.fy
    cx = (width - 1) / 2 if options.cx is None else options.cx
    cy = (height - 1) / 2 if options.cy is None else options.cy
    return np.array([[options.fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])


def _assumption(spec: ModelSpec) -> str:
    view = 2 * math.degrees(math.atan(spec.input_width / (2 * spec.canonical_focal_px)))
    return (
        f'no --fx given: the scale of depth assumes a camera that sees {view:.0f} degrees from '
        'left to right'
    )


def _write(stem: Path, image: NDArray[np.uint8], depth: NDArray[np.float32]) -> None:
    # Names are appended, not replaced: a stem may itself hold a dot.
    np.save(f'{stem}.npy', depth)
    view = cv2.cvtColor(side_by_side(image, depth), cv2.COLOR_RGB2BGR)
    if not cv2.imwrite(f'{stem}.png', view):
        raise OSError(f'cannot write {stem}.png; is the disk full?')


def _summary(depth: NDArray[np.float32]) -> str:
    known = depth[np.isfinite(depth)]
    if not known.size:
        return 'all beyond range'
    near, far = np.percentile(known, (5, 95))
    return f'{near:.1f} m to {far:.1f} m (5 % to 95 %)'


def _with_path(path: Path, error: Exception) -> str:
    """Name the picture where the error does not do so itself."""
    return str(error) if str(path) in str(error) else f'{path}: {error}'


def _fail(message: str) -> int:
    print(f'error: {message}', file=sys.stderr)
    return 2


if __name__ == '__main__':
    sys.exit(main())
