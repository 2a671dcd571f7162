"""Time one network on every engine beside eager PyTorch, and beside what the machine can do.

    python bench/engine_speed.py --json docs/results/engine_cpu.json

The shipped student's network and DINOv2 ViT-S/14 with DPT's head at 448x252, the shape of Depth
Anything V2 Small, which transformers has too. Weights are random, as times do not depend on them;
int8 is NNCF's, calibrated on noise. The floor is the network's operations at the rate of a large
product of float matrices; int8 may be faster than that.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
import shlex
import sys
import tempfile
from typing import Any

import numpy as np
import onnx
from predictor_speed import times_ms
from ssd_depth_core.config import from_dict, read_yaml
from ssd_depth_core.export.onnx import write_onnx
from ssd_depth_core.export.quantize import quantize_network
from ssd_depth_core.models.depth_net import DepthNet, DepthNetConfig
from ssd_depth_core.models.factory import build_depth_net
from ssd_depth_core.records import provenance, Result, write_result
from ssd_depth_core.runtime.backends import load_backend
import torch
from torch import nn
from torch.nn.attention import sdpa_kernel, SDPBackend
from torch.utils.flop_counter import FlopCounterMode

MODELS = Path(__file__).parents[1] / 'config' / 'model' / 'students.yaml'
NETWORKS = ('mobilenetv4_conv_small', 'vit_small')
EAGER = 'torch eager'
NUM_CALIBRATION = 8
MATRIX = 2048
"""Side of the matrices: 50 MB in all, and a product that no cache limits."""
COPY_BYTES = 1 << 28
_SEED = 0


def machine() -> dict[str, float]:
    """Measure what the machine can do, with all its cores for products and one for copies.

    Returns:
        `gflops` of a product of float matrices, `copy_gbs` of a plain copy, read and written.
    """
    a = torch.randn(MATRIX, MATRIX)
    product_ms, _, _ = times_ms(lambda: a @ a, 10)
    source = np.ones(COPY_BYTES, np.uint8)
    target = np.ones_like(source)
    copy_ms, _, _ = times_ms(lambda: np.copyto(target, source), 10)
    return {
        'gflops': round(2 * MATRIX**3 / product_ms / 1e6, 1),
        'copy_gbs': round(2 * COPY_BYTES / copy_ms / 1e6, 1),
    }


def operations(network: nn.Module, image: torch.Tensor) -> int:
    """Count what a network computes.

    Args:
        network: In evaluation mode.
        image: (1, 3, H, W) of its input size.

    Returns:
        Multiplications and additions of products and convolutions for one picture.
    """
    # Attention as products: the counter takes the CPU's fused one for nothing.
    attention = sdpa_kernel(SDPBackend.MATH)
    with torch.inference_mode(), attention, FlopCounterMode(display=False) as counter:
        network(image)
    return counter.get_total_flops()


def transformers_network(config: DepthNetConfig) -> nn.Module:
    """Build Depth Anything V2 Small as transformers does.

    Args:
        config: Of the same shape.

    Returns:
        With random weights.
    """
    import transformers

    assert config.dpt.taps is not None
    backbone: dict[str, Any] = {
        'hidden_size': 384,
        'num_attention_heads': 6,
        'image_size': 518,
        'patch_size': 14,
        'out_indices': list(config.dpt.taps),
        'apply_layernorm': True,
        'reshape_hidden_states': False,
    }
    return transformers.DepthAnythingForDepthEstimation(
        transformers.DepthAnythingConfig(
            backbone_config=transformers.Dinov2Config(**backbone),
            reassemble_hidden_size=384,
            neck_hidden_sizes=list(config.dpt.channels),
            fusion_hidden_size=config.dpt.features,
            depth_estimation_type='metric',
        )
    )


def ways(network: DepthNet, folder: Path) -> dict[str, Callable[[], Any]]:
    """List how a network can be run.

    Args:
        network: In evaluation mode.
        folder: For its files.

    Returns:
        What runs it once, by name.
    """
    config = network.config
    shape = (1, 3, config.input_height, config.input_width)
    rng = np.random.default_rng(_SEED)
    blob = rng.normal(0, 1, shape).astype(np.float32)
    image = torch.from_numpy(blob)
    eager = torch.inference_mode()
    work: dict[str, Callable[[], Any]] = {EAGER: eager(partial(network, image))}
    if config.decoder == 'dpt':
        peer = transformers_network(config).eval()
        work['transformers, torch eager'] = eager(partial(peer, image))
    path = folder / 'float.onnx'
    write_onnx(network, path)
    calibration = list(rng.normal(0, 1, (NUM_CALIBRATION, *shape[1:])).astype(np.float32))
    int8 = folder / 'int8.onnx'
    onnx.save(quantize_network(onnx.load(path), calibration), int8)
    for kind, model in (('float', path), ('int8', int8)):
        for engine in ('onnxruntime', 'openvino'):
            work[f'{engine}, {kind}'] = partial(
                load_backend(engine, model, None, 1, None).run, blob
            )
    return work


def measure(name: str, rounds: int, gflops: float) -> list[dict[str, Any]]:
    """Time one network.

    Args:
        name: Of `NETWORKS`.
        rounds: How often each way.
        gflops: Of the machine.

    Returns:
        Rows of the table, the same runs for all.
    """
    torch.manual_seed(_SEED)
    config = from_dict(DepthNetConfig, read_yaml(MODELS)[name] | {'encoder_weights': None}, name)
    network = build_depth_net(config).eval()
    image = torch.zeros(1, 3, config.input_height, config.input_width)
    floor_ms = operations(network, image) / gflops / 1e6
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for way, work in ways(network, Path(folder)).items():
            best, median, _ = times_ms(work, rounds)
            rows.append({'way': way, 'best_ms': best, 'median_ms': median})
    eager_ms = next(row['median_ms'] for row in rows if row['way'] == EAGER)
    return [
        {
            'network': f'{name} {config.input_width}x{config.input_height}',
            'way': row['way'],
            'best_ms': round(row['best_ms'], 1),
            'median_ms': round(row['median_ms'], 1),
            'faster_than_eager': round(eager_ms / row['median_ms'], 2),
            'over_floor': round(row['median_ms'] / floor_ms, 2),
            'n': rounds,
        }
        for row in rows
    ]


def main(argv: list[str] | None = None) -> int:
    """Run the bench.

    Args:
        argv: Command line; None takes the process's own.

    Returns:
        Exit status.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or '').partition('\n')[0])
    parser.add_argument('--rounds', type=int, default=40)
    parser.add_argument('--json', type=Path, help='write the figures here, for docs/results.md')
    arguments = sys.argv[1:] if argv is None else argv
    options = parser.parse_args(arguments)
    limits = machine()
    print('  '.join(f'{name} {value}' for name, value in limits.items()))
    rows = []
    for name in NETWORKS:
        for row in measure(name, options.rounds, limits['gflops']):
            rows.append(row)
            print('  '.join(f'{key} {value}' for key, value in row.items()), flush=True)
    if options.json:
        result = Result(
            title='One network on every engine, beside eager PyTorch and the floor',
            command=shlex.join(['python', 'bench/engine_speed.py', *arguments]),
            seed=_SEED,
            data='noise, one picture at a time; random weights',
            rows=tuple(rows),
            further={'machine': (limits,)},
            notes=(
                f'Float products of {MATRIX}x{MATRIX} matrices ran at {limits["gflops"]:g} '
                f'GFLOP/s, plain copies at {limits["copy_gbs"]:g} GB/s read and written. The '
                "floor is a network's multiplications and additions at that rate, in float; "
                'where int8 is below 1, its integer instructions are why.'
            ),
            **provenance(),
        )
        write_result(result, options.json)
    return 0


if __name__ == '__main__':
    sys.exit(main())
