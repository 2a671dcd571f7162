"""Count what SSD's translation of nuScenes costs, without weights and without computing anything.

    python -m bench.gdt_cost --json docs/results/gdt_cost.json

Networks of the published architectures are built on torch's meta device, which has shapes and no
numbers, and their floating-point operations are counted for the sizes and steps of
`config/gdt/nuscenes.yaml`. OPT's are reckoned from its size: two a parameter, token and beam.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
import shlex
import sys
from typing import Any

from ssd_depth_core.config import load_yaml
from ssd_depth_core.gdt.diffusion_config import DiffusionConfig
from ssd_depth_core.gdt.recipe import TranslateConfig
from ssd_depth_core.records import provenance, Result, write_result
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

CONFIG = Path(__file__).parents[1] / 'config/gdt/nuscenes.yaml'
NUM_FRAMES = 15_129
"""Clear frames that md4all and SSD train on."""
NUM_PATCHES = 49
"""Of PatchFusion's p49, beside the whole picture."""
OPT_PARAMETERS = 2.65e9
"""Of OPT-2.7B, the words of BLIP-2."""
NUM_QUERY_TOKENS = 32
"""Of the picture, which OPT reads before it writes."""
PUBLISHED_RATES = {'RTX 3090, one picture at a time': 16.5, 'RTX 4090, four together': 73.0}
"""Steps a second of Stable Diffusion 1.5 at 512x512 in fp16, with guidance, as users report them:
huggingface.co/stabilityai/stable-diffusion-2-base/discussions/10 and
vladmandic.github.io/sdnext-docs/Benchmark."""

Part = tuple[float, float]
"""(operations [10^12], parameters)."""


def diffusion_parts(config: DiffusionConfig) -> dict[str, Part]:
    """Count the networks of Stable Diffusion 1.5 with a depth ControlNet.

    Args:
        config: Size, steps and guidance.

    Returns:
        By name, for one picture.
    """
    import diffusers

    both = 2 if config.guidance_scale > 1 else 1  # with the prompt and with the negative one
    height, width = config.size
    with torch.device('meta'):
        widths = (320, 640, 1280, 1280)
        shared = {'block_out_channels': widths, 'cross_attention_dim': 768}
        unet: Any = diffusers.UNet2DConditionModel(**shared, attention_head_dim=8)
        controlnet: Any = diffusers.ControlNetModel(**shared, attention_head_dim=8)
        autoencoder: Any = diffusers.AutoencoderKL(
            down_block_types=('DownEncoderBlock2D',) * 4,
            up_block_types=('UpDecoderBlock2D',) * 4,
            block_out_channels=(128, 256, 512, 512),
            layers_per_block=2,
            latent_channels=4,
        )
        latents = torch.zeros(both, 4, height // 8, width // 8)
        words, time = torch.zeros(both, 77, 768), torch.zeros(both)
        control = torch.zeros(both, 3, height, width)
        steps = config.num_inference_steps
        return {
            'ControlNet': counted(
                controlnet, lambda: controlnet(latents, time, words, control), steps
            ),
            'UNet': counted(unet, lambda: unet(latents, time, words), steps),
            'decoder': counted(autoencoder, lambda: autoencoder.decode(latents[:1])),
        }


def clip_parts() -> dict[str, Part]:
    """Count the CLIP networks around Stable Diffusion 1.5.

    Returns:
        By name, for one picture: prompt and negative prompt, a photograph for the IP-Adapter
        (ViT-H/14), and the safety checker's look (ViT-L/14).
    """
    import transformers

    with torch.device('meta'):
        text: Any = transformers.CLIPTextModel(
            transformers.CLIPTextConfig(
                hidden_size=768,
                intermediate_size=3072,
                num_hidden_layers=12,
                num_attention_heads=12,
            )
        )
        words = torch.zeros(2, 77, dtype=torch.long)
        parts = {'words (CLIP)': counted(text, lambda: text(words))}
        for name, width, depth in (
            ('photograph (CLIP)', 1280, 32),
            ('safety checker (CLIP)', 1024, 24),
        ):
            parts[name] = _eye(width, depth)
    return parts


def _eye(width: int, depth: int) -> Part:
    """Count a CLIP vision transformer with patches of 14 pixels."""
    import transformers

    eye: Any = transformers.CLIPVisionModel(
        transformers.CLIPVisionConfig(
            hidden_size=width,
            intermediate_size=4 * width,
            num_hidden_layers=depth,
            num_attention_heads=16,
            patch_size=14,
        )
    )
    return counted(eye, lambda: eye(torch.zeros(1, 3, 224, 224)))


def step_at_512() -> float:
    """Count one step of Stable Diffusion 1.5 as it is usually timed.

    Returns:
        Operations of the UNet at 512x512 with guidance [10^12].
    """
    plain = DiffusionConfig(size=(512, 512), num_inference_steps=1, ip_adapter=None)
    return diffusion_parts(plain)['UNet'][0]


def depth_part() -> Part:
    """Count DPT-BEiT-L at 384x384.

    Returns:
        For one look.
    """
    from transformers import BeitConfig, DPTConfig, DPTForDepthEstimation

    backbone: dict[str, Any] = {
        'hidden_size': 1024,
        'num_hidden_layers': 24,
        'num_attention_heads': 16,
        'intermediate_size': 4096,
        'image_size': 384,
        'use_relative_position_bias': True,
        'reshape_hidden_states': False,
        'out_features': ['stage6', 'stage12', 'stage18', 'stage24'],
    }
    with torch.device('meta'):
        network = DPTForDepthEstimation(
            DPTConfig(
                backbone_config=BeitConfig(**backbone),
                neck_hidden_sizes=[256, 512, 1024, 1024],
            )
        )
        return counted(network, lambda: network(torch.zeros(1, 3, 384, 384)))


def caption_part(num_beams: int, num_tokens: int) -> Part:
    """Count BLIP-2: its eye exactly, its words from OPT's size.

    Args:
        num_beams: Of the search.
        num_tokens: Written at most.

    Returns:
        For one caption.
    """
    import transformers

    with torch.device('meta'):
        eye: Any = transformers.Blip2VisionModel(transformers.Blip2VisionConfig())
        bridge: Any = transformers.Blip2QFormerModel(transformers.Blip2QFormerConfig())
        parts = (
            counted(eye, lambda: eye(torch.zeros(1, 3, 224, 224))),
            counted(
                bridge,
                lambda: bridge(
                    query_embeds=torch.zeros(1, NUM_QUERY_TOKENS, 768),
                    encoder_hidden_states=torch.zeros(1, 257, 1408),
                ),
            ),
        )
        teraflop, parameters = (sum(values) for values in zip(*parts, strict=True))
    words = 2 * OPT_PARAMETERS * (NUM_QUERY_TOKENS + num_tokens) * num_beams / 1e12
    return teraflop + words, parameters + OPT_PARAMETERS


def counted(network: nn.Module, call: Callable[[], object], times: int = 1) -> Part:
    """Count a call's operations.

    Args:
        network: Whose.
        call: Calls it.
        times: How often.

    Returns:
        Operations [10^12] of all calls, and parameters.
    """
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        call()
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return times * counter.get_total_flops() / 1e12, parameters


def main(argv: list[str] | None = None) -> int:
    """Run the bench.

    Args:
        argv: Command line; None takes the process's own.

    Returns:
        Exit status.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or '').partition('\n')[0])
    parser.add_argument('--json', type=Path, help='write the figures here, for docs/results.md')
    arguments = sys.argv[1:] if argv is None else argv
    options = parser.parse_args(arguments)

    config = load_yaml(TranslateConfig, CONFIG)
    num_conditions = len(config.conditions)
    look, look_parameters = depth_part()
    caption, caption_parameters = caption_part(
        config.captioner.num_beams, config.captioner.max_new_tokens
    )
    # A frame's caption and depth serve all of its pictures; the gate looks at each once more.
    parts = {
        'caption (BLIP-2)': (caption / num_conditions, caption_parameters),
        'depth, 49 patches and the whole': (
            look * (NUM_PATCHES + 1) / num_conditions,
            look_parameters,
        ),
        **clip_parts(),
        **diffusion_parts(config.diffusion),
        'gate': (look, 0.0),
    }
    total = sum(teraflop for teraflop, _ in parts.values())
    gigabytes = sum(2 * parameters for _, parameters in parts.values()) / 1e9
    rows = [
        {
            'part': name,
            'TFLOP a picture': round(teraflop, 1),
            'fp16 weights GB': round(2 * parameters / 1e9, 2),
        }
        for name, (teraflop, parameters) in parts.items()
    ]
    rows.append(
        {'part': 'all', 'TFLOP a picture': round(total, 1), 'fp16 weights GB': round(gigabytes, 2)}
    )
    num_pictures = NUM_FRAMES * num_conditions
    step = step_at_512()
    hours = [
        f'{num_pictures * total / (rate * step) / 3600:.0f} h on an {name} ({rate:g} steps a '
        f'second, {rate * step:.0f} TFLOP/s)'
        for name, rate in PUBLISHED_RATES.items()
    ]
    note = (
        f'{num_pictures:,} pictures are {num_pictures * total / 1e3:,.0f} PFLOP: '
        f'{", ".join(hours)}, if a GPU keeps the speed that its users report for Stable Diffusion '
        f'1.5 at 512x512, a step of which is {step:.2f} TFLOP, and never waits for the processor. '
        'Counted, never run.'
    )
    for row in rows:
        print(row)
    print(note)
    if options.json:
        result = Result(
            title="What SSD's translation of nuScenes costs",
            command=shlex.join(['python', '-m', 'bench.gdt_cost', *arguments]),
            seed=None,
            data='config/gdt/nuscenes.yaml and the published architectures, on no data',
            rows=tuple(rows),
            notes=note,
            **provenance(),
        )
        write_result(result, options.json)
    return 0


if __name__ == '__main__':
    sys.exit(main())
