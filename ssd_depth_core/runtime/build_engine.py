"""`depth_build_engine`: build TensorRT engines before the robot needs them."""

import argparse
import logging
from pathlib import Path
import sys
from typing import get_args

from ssd_depth_core.model_spec import load_spec
from ssd_depth_core.runtime.backends import Backend
from ssd_depth_core.runtime.backends.tensorrt import open_backend
from ssd_depth_core.runtime.backends.tensorrt_build import BuildOptions
from ssd_depth_core.runtime.backends.tensorrt_cuda import first_device, open_driver
from ssd_depth_core.runtime.backends.tensorrt_library import LibraryName, load_library
from ssd_depth_core.runtime.engine_cache import CachedEngine, EngineCache, MAX_BYTES
from ssd_depth_core.runtime.predictor import SHIPPED_MODEL
from ssd_depth_core.runtime.self_check import check_backend

_EXAMPLE = 'example: depth_build_engine student.onnx --float16 models --max-batch 6'


def main(argv: list[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: Command line; None takes the process's own.

    Returns:
        0; 2 if the engines cannot be built or compute something else than they should, 130 if the
        user stopped it.
    """
    options = _parse(argv)
    logging.basicConfig(format='%(message)s', level=logging.WARNING)
    try:
        cache = EngineCache(options.cache, must_store=True)
        if options.list:
            _list(cache)
            return 0
        # First what needs no GPU: a wrong word must not be hidden by a missing library.
        load_spec(options.model)
        model = options.model if options.float16 is None else _halve(options)
        _introduce(options.backend)
        backend = open_backend(
            options.backend,
            model,
            BuildOptions(max_batch=options.max_batch),
            cache,
            Meter(),
        )
        _check(model, backend)
    except (OSError, ImportError, ValueError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print('stopped; what was finished is kept', file=sys.stderr)
        return 130
    _list(cache)
    return 0


class Meter:
    """Print a build's progress: one line on a terminal, one a quarter in a log."""

    def __init__(self) -> None:
        """Begin before the first build."""
        self._last = -1

    def __call__(self, phase: str, done: float) -> None:
        """Print, if there is something new.

        Args:
            phase: Of the build.
            done: Share of it, in [0, 1].
        """
        percent = int(100 * done)
        step = percent if sys.stderr.isatty() else percent // 25 * 25
        if step == self._last:
            return
        self._last = step
        if sys.stderr.isatty():
            end = '\n' if step == 100 else ''
            # Clears the rest of the line, where a longer phase may have been.
            print(f'\r{phase}: {step:3d} %\033[K', end=end, file=sys.stderr)
        else:
            print(f'{phase}: {step} %', file=sys.stderr)


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='depth_build_engine',
        description='Build the TensorRT engines of a model on this machine and keep them where '
        'the node looks for them. Precision is that of the ONNX file.',
        epilog=_EXAMPLE,
    )
    parser.add_argument(
        'model', nargs='?', type=Path, default=SHIPPED_MODEL, help='the shipped one if left out'
    )
    parser.add_argument(
        '--backend',
        choices=get_args(LibraryName),
        default='tensorrt',
        help='tensorrt if left out',
    )
    parser.add_argument(
        '--max-batch', type=int, default=1, help='cameras of one network call, as the node has it'
    )
    parser.add_argument(
        '--float16',
        type=Path,
        metavar='DIR',
        help='write the model in half precision there, and build that one',
    )
    parser.add_argument('--cache', type=Path, help='~/.cache/ssd_depth if left out')
    parser.add_argument('--list', action='store_true', help='print what is in the cache, and stop')
    options = parser.parse_args(argv)
    if options.max_batch < 1:
        parser.error(f'--max-batch must be at least 1, got {options.max_batch}')
    return options


def _halve(options: argparse.Namespace) -> Path:
    """Write the model in half precision, and say what to give to the node."""
    try:
        from ssd_depth_core.export.float16 import float16_file  # here: it needs onnx
    except ImportError as error:
        raise ImportError(
            f'half precision needs onnx, which cannot be imported ({error}); '
            '`pip install onnx` brings it'
        ) from error
    path = float16_file(options.model, options.float16)
    print(f'model in half precision: {path}')
    return path


def _introduce(name: LibraryName) -> None:
    """Print what is built with and for, one line each, before the minutes of waiting."""
    try:
        library = load_library(name)
        cuda = open_driver()
        chosen = first_device(cuda)
    except (ImportError, OSError) as error:
        raise type(error)(
            f'{error}. Without an NVIDIA GPU there is nothing to build: OpenVINO and ONNX Runtime '
            'run the ONNX file as it is'
        ) from error
    print(f'{library.title} {library.version}')
    for device in cuda.devices():
        print(
            f'GPU {device.index}: {device.name}, compute capability {device.compute_capability}, '
            f'{device.num_bytes / 2**30:.1f} GiB, CUDA {cuda.version}'
            + (' (taken)' if device == chosen else '')
        )


def _check(model: Path, backend: Backend) -> None:
    """Hold the engines to what is stored beside the model, as the node does at its start."""
    differences = check_backend(model, load_spec(model), backend)
    if differences:  # else a warning has said that nothing is stored
        found = ', '.join(f'{name} {value:.2g}' for name, value in sorted(differences.items()))
        print(f'checked on {backend.device}, differences from what is stored: {found}')


def _list(cache: EngineCache) -> None:
    entries = cache.entries()
    total = sum(entry.num_bytes for entry in entries)
    print(
        f'{cache.folder}: {len(entries)} engines, {total / 2**20:.1f} MiB of '
        f'{MAX_BYTES / 2**20:.0f}'
    )
    for entry in entries:
        print(f'  {_describe(entry)}')


def _describe(entry: CachedEngine) -> str:
    key = entry.key
    return (
        f'{key["engine"]:8s}  model {(key["onnx_sha256"] or "any")[:12]:12s}  {key["library"]}  '
        f'{key["gpu"]} ({key["compute_capability"]})  CUDA {key["cuda"]}  '
        f'batch {key["options"]["max_batch"]}  {entry.num_bytes / 2**20:.1f} MiB  {entry.built}'
    )


if __name__ == '__main__':
    sys.exit(main())
