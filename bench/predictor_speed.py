"""Time what a robot pays for one picture: decoding, preparing, the network on each engine.

    python bench/predictor_speed.py --json docs/results/predictor_cpu.json

Over `--rounds` after a tenth as many to warm up, one picture at a time. On a machine that does
other work as well, compare the best round, and with `--threads 1`. Where an int8 file lies beside
the model, it is timed too.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
import shlex
import sys
import time

import cv2
import numpy as np
from ssd_depth_core.model_spec import load_spec
from ssd_depth_core.records import provenance, Result, write_result
from ssd_depth_core.runtime.backends import load_backend
from ssd_depth_core.runtime.images import decode_image
from ssd_depth_core.runtime.network_input import NetworkInput
from ssd_depth_core.runtime.predictor import DepthPredictor, SHIPPED_MODEL

_SIZE = (900, 1600)  # nuScenes' cameras
_SEED = 0


def street_like_jpeg() -> bytes:
    """Make a picture that costs a decoder about as much as a real street.

    Returns:
        A 1600x900 JPEG: noise whose power falls with frequency as in nature, of quality 90.
    """
    generator = np.random.default_rng(_SEED)
    picture = np.full((*_SIZE, 3), 128.0, np.float32)
    for octave in range(8):
        shape = (_SIZE[0] >> octave, _SIZE[1] >> octave, 3)
        noise = generator.normal(0.0, 0.5 * 1.9**octave, shape).astype(np.float32)
        picture += cv2.resize(noise, _SIZE[::-1], interpolation=cv2.INTER_LINEAR)
    levels = picture.clip(0, 255).astype(np.uint8)
    return cv2.imencode('.jpg', levels, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()


def times_ms(work: Callable[[], object], rounds: int) -> tuple[float, float, float]:
    """Time a function.

    Args:
        work: What to time.
        rounds: How often.

    Returns:
        Minimum, median and 99th percentile of one call [ms].
    """
    for _ in range(max(1, rounds // 10)):
        work()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(1e3 * (time.perf_counter() - start))
    best, median, p99 = np.percentile(times, (0, 50, 99))
    return float(best), float(median), float(p99)


def steps(model: Path, jpeg: bytes, num_threads: int | None) -> dict[str, Callable[[], object]]:
    """List what is timed.

    Args:
        model: ONNX file.
        jpeg: The picture.
        num_threads: Of the engines.

    Returns:
        One function a row of the table, by the row's name.
    """
    K = np.array([[1266.0, 0.0, 799.5], [0.0, 1266.0, 449.5], [0.0, 0.0, 1.0]])
    spec = load_spec(model)
    size = f'{spec.input_width}x{spec.input_height}'
    blob = np.zeros((1, 3, spec.input_height, spec.input_width), np.float32)
    work: dict[str, Callable[[], object]] = {}
    pictures = {}
    for reduction in (1, 2, 4):
        picture = decode_image(jpeg, reduction)
        name = f'{picture.shape[1]}x{picture.shape[0]}'
        pictures[name] = picture
        work[f'decode 1600x900 JPEG at 1/{reduction}'] = partial(decode_image, jpeg, reduction)
        fill = NetworkInput(spec).fill
        work[f'resize and normalise {name} to {size}'] = partial(fill, picture, blob[0])
    int8 = model.with_suffix('.int8.onnx')
    for path in (model, int8) if int8.is_file() else (model,):
        kind = 'int8' if path == int8 else 'float'
        for engine in ('openvino', 'onnxruntime'):
            network = load_backend(engine, path, num_threads)
            work[f'network {size} in {kind}, {engine}'] = partial(network.run, blob)
            predictor = DepthPredictor.load(path, engine, num_threads)
            for name, picture in pictures.items():
                row = f'predict from {name} in {kind}, {engine}'
                work[row] = partial(predictor.predict, picture, K)
    return work


def main(argv: list[str] | None = None) -> int:
    """Run the bench.

    Args:
        argv: Command line; None takes the process's own.

    Returns:
        Exit status.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or '').partition('\n')[0])
    parser.add_argument('--model', type=Path, default=SHIPPED_MODEL, help='ONNX file')
    parser.add_argument('--rounds', type=int, default=200)
    parser.add_argument('--threads', type=int, help='of the engines; all cores if left out')
    parser.add_argument('--json', type=Path, help='write the figures here, for docs/results.md')
    arguments = sys.argv[1:] if argv is None else argv
    options = parser.parse_args(arguments)

    rows = []
    for name, work in steps(options.model, street_like_jpeg(), options.threads).items():
        best, median, p99 = times_ms(work, options.rounds)
        rows.append(
            {
                'method': name,
                'data': 'generated picture',
                'best_ms': round(best, 2),
                'median_ms': round(median, 2),
                'p99_ms': round(p99, 2),
                'n': options.rounds,
            }
        )
        print(f'{name:44}{best:8.2f} to {median:8.2f} to {p99:8.2f} ms', flush=True)
    if options.json:
        result = Result(
            title='Time for one picture, step by step',
            command=shlex.join(['python', 'bench/predictor_speed.py', *arguments]),
            seed=_SEED,
            data='a generated 1600x900 JPEG, quality 90',
            rows=tuple(rows),
            notes='`predict` is resize, normalise, network and the way to metres together.',
            **provenance(),
        )
        write_result(result, options.json)
    return 0


if __name__ == '__main__':
    sys.exit(main())
