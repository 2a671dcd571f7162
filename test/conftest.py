import ctypes
import json
import math
import os

import numpy as np
import pytest
from ssd_depth_core.exact_depth import encode_exact_depth

os.environ['HF_HUB_OFFLINE'] = '1'  # no test downloads; read once, at the hub's import

CONDITIONS = ('day-clear', 'night')
K = ((50.0, 0.0, 31.5), (0.0, 50.0, 31.5), (0.0, 0.0, 1.0))


class SignalStack(ctypes.Structure):
    """Where handlers of signals run, as `sigaltstack` takes and gives it on Linux."""

    _fields_ = (('start', ctypes.c_void_p), ('flags', ctypes.c_int), ('size', ctypes.c_size_t))


@pytest.fixture(autouse=True)
def signal_stack():
    """Give the main thread its stack for signals back after each test.

    OpenVINO puts one of its own there when it compiles a network, and unmaps it with the network:
    the next signal that Python handles, e.g. of a child that ends, would end the tests.
    """
    sigaltstack, stack = ctypes.CDLL(None).sigaltstack, SignalStack()
    sigaltstack(None, ctypes.byref(stack))
    yield
    sigaltstack(ctypes.byref(stack), None)


@pytest.fixture(scope='session')
def rendered_set(tmp_path_factory):
    """A training set of 64x64: 6 frames to train on, 2 for validation; only to be read.

    A wall whose colour tells its depth, under one row of sky and one of unknown depth.
    """
    import cv2

    root = tmp_path_factory.mktemp('rendered')
    for name in (*CONDITIONS, 'depth'):
        (root / name).mkdir()
    lines = []
    for number in range(8):
        depth = np.full((64, 64), 4.0 + 3 * number, np.float32)
        depth[0], depth[1] = np.inf, np.nan
        cv2.imwrite(str(root / 'depth' / f'{number:06d}.png'), encode_exact_depth(depth))
        for condition, level in zip(CONDITIONS, (25, 5), strict=True):
            image = np.full((64, 64, 3), level * number + 10, np.uint8)
            cv2.imwrite(str(root / condition / f'{number:06d}.jpg'), image)
        lines.append(
            {
                'schema_version': 1,
                'id': f'{number:06d}',
                'K': K,
                'split': 'validation' if number in (2, 5) else 'train',
                'conditions': CONDITIONS,
            }
        )
    (root / 'frames.jsonl').write_text(''.join(json.dumps(line) + '\n' for line in lines))
    return root


@pytest.fixture(scope='session')
def surface_set(tmp_path_factory):
    """Rendered clear days of 64x96 with class maps: 6 frames to train on, 2 for validation.

    Blocks of 8x8 pixels of the classes 0 to 3, whose grey level is 20 + 60 times the class; one
    block is unknown, and black. Only to be read.
    """
    import cv2

    root = tmp_path_factory.mktemp('surfaces')
    for name in ('day-clear', 'classes'):
        (root / name).mkdir()
    lines = []
    for number in range(8):
        blocks = np.random.default_rng(number).integers(0, 4, (8, 12), np.uint8)
        blocks[0, 5] = 255
        classes = np.kron(blocks, np.ones((8, 8), np.uint8))
        image = np.where(classes == 255, 0, 20 + 60 * (classes % 4)).astype(np.uint8)
        cv2.imwrite(str(root / 'classes' / f'{number:06d}.png'), classes)
        cv2.imwrite(str(root / 'day-clear' / f'{number:06d}.jpg'), image)
        lines.append(
            {
                'schema_version': 1,
                'id': f'{number:06d}',
                'K': K,
                'split': 'validation' if number in (2, 5) else 'train',
                'conditions': ('day-clear',),
            }
        )
    (root / 'frames.jsonl').write_text(''.join(json.dumps(line) + '\n' for line in lines))
    return root


NUSCENES_START_US = 1_600_000_000_000_000
NUSCENES_HZ = {'camera': 12, 'lidar': 20, 'radar': 14}
# Key frames at 2 Hz; the LiDAR's come 20 ms after the cameras'.
NUSCENES_DELAY_US = {'camera': 0, 'lidar': 20_000, 'radar': 5_000}
LOOKS_FORWARD = (0.5, -0.5, 0.5, -0.5)  # optical axes in the car's
UNTURNED = (1.0, 0.0, 0.0, 0.0)


def nuscenes_modality(channel):
    return {'CAM': 'camera', 'LID': 'lidar', 'RAD': 'radar'}[channel[:3]]


@pytest.fixture(scope='session')
def make_nuscenes():
    """Write a nuScenes-format set by hand: a car that drives straight on along the world's x.

    Pictures are 16x24 pixels with a focal length of 20; `scenes` maps a name to a description and
    a speed [m/s].
    """
    import cv2

    picture = cv2.imencode('.jpg', np.full((16, 24, 3), 90, np.uint8))[1].tobytes()
    sweep = np.array(((10, 0, 0, 7, 0), (20, 2, 1, 7, 1)), '<f4').tobytes()

    def make(
        root,
        scenes,
        channels=('CAM_FRONT', 'LIDAR_TOP'),
        version='v1.0-mini',
        seconds=1.25,
        on_disk=('CAM_FRONT', 'LIDAR_TOP'),
    ):
        tables = {name: [] for name in ('scene', 'sample', 'sample_data', 'ego_pose')}
        for folder in ('samples', 'sweeps'):
            for channel in on_disk:
                (root / folder / channel).mkdir(parents=True)
        for scene_number, (scene, (description, speed_mps)) in enumerate(scenes.items()):
            start_us = NUSCENES_START_US + scene_number * 100_000_000
            tables['scene'].append({'token': scene, 'name': scene, 'description': description})
            tables['sample'] += [
                {'token': f'{scene}/{i}', 'scene_token': scene}
                for i in range(math.ceil(2 * seconds))
            ]
            for channel in channels:
                modality = nuscenes_modality(channel)
                hz = NUSCENES_HZ[modality]
                count = int(hz * seconds)
                key_period = hz // 2
                for i in range(count):
                    stamp_us = start_us + NUSCENES_DELAY_US[modality] + round(i * 1e6 / hz)
                    is_key_frame = i % key_period == 0
                    suffix = 'jpg' if modality == 'camera' else 'pcd.bin'
                    filename = (
                        f'{"samples" if is_key_frame else "sweeps"}/{channel}/'
                        f'{scene}__{channel}__{stamp_us}.{suffix}'
                    )
                    token = f'{scene}/{channel}/{i}'
                    tables['sample_data'].append(
                        {
                            'token': token,
                            'sample_token': f'{scene}/{i // key_period}',
                            'ego_pose_token': token,
                            'calibrated_sensor_token': channel,
                            'timestamp': stamp_us,
                            'fileformat': suffix[:3],
                            'is_key_frame': is_key_frame,
                            'height': 16,
                            'width': 24,
                            'filename': filename,
                            'prev': f'{scene}/{channel}/{i - 1}' if i else '',
                            'next': f'{scene}/{channel}/{i + 1}' if i + 1 < count else '',
                        }
                    )
                    x_m = 500.0 + speed_mps * (stamp_us - start_us) * 1e-6
                    tables['ego_pose'].append(
                        {'token': token, 'translation': (x_m, 90.0, 0.0), 'rotation': UNTURNED}
                    )
                    if channel in on_disk:
                        (root / filename).write_bytes(picture if suffix == 'jpg' else sweep)
        mounts = {
            'camera': ((1.7, 0.0, 1.5), LOOKS_FORWARD, ((20, 0, 12), (0, 20, 8), (0, 0, 1))),
            'lidar': ((0.9, 0.0, 1.8), UNTURNED, ()),
            'radar': ((3.4, 0.0, 0.5), UNTURNED, ()),
        }
        tables['sensor'] = [
            {'token': channel, 'channel': channel, 'modality': nuscenes_modality(channel)}
            for channel in channels
        ]
        tables['calibrated_sensor'] = [
            {
                'token': channel,
                'sensor_token': channel,
                **dict(
                    zip(
                        ('translation', 'rotation', 'camera_intrinsic'),
                        mounts[nuscenes_modality(channel)],
                        strict=True,
                    )
                ),
            }
            for channel in channels
        ]
        (root / version).mkdir()
        for name, rows in tables.items():
            (root / version / f'{name}.json').write_text(json.dumps(rows))
        return root

    return make


@pytest.fixture(scope='session')
def tiny_diffusion(tmp_path_factory):
    """Save a Stable Diffusion with ControlNet of random weights: 0.3 MB, for sides of even length.

    Below it, `ip_adapter/ip_adapter.safetensors` and `ip_adapter/image_encoder` are an IP-Adapter.
    """
    from diffusers import (
        AutoencoderKL,
        ControlNetModel,
        DDIMScheduler,
        StableDiffusionControlNetPipeline,
        UNet2DConditionModel,
    )
    from safetensors.torch import save_file
    import torch
    from transformers import (
        CLIPTextConfig,
        CLIPTextModel,
        CLIPTokenizer,
        CLIPVisionConfig,
        CLIPVisionModelWithProjection,
    )

    root = tmp_path_factory.mktemp('tiny_diffusion')
    words = tmp_path_factory.mktemp('tokenizer')
    letters = 'abcdefghijklmnopqrstuvwxyz,'
    start, end = '<|startoftext|>', '<|endoftext|>'
    tokens = (*letters, *(f'{letter}</w>' for letter in letters), start, end)
    (words / 'vocab.json').write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    (words / 'merges.txt').write_text('#version: 0.2\n')
    blocks = {
        'block_out_channels': (4, 8),
        'down_block_types': ('DownBlock2D', 'CrossAttnDownBlock2D'),
        'layers_per_block': 1,
        'cross_attention_dim': 16,
        'norm_num_groups': 1,
        'attention_head_dim': 4,
    }
    transformer = {
        'hidden_size': 16,
        'intermediate_size': 16,
        'num_attention_heads': 2,
        'num_hidden_layers': 1,
        'projection_dim': 16,
    }
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        unet = UNet2DConditionModel(
            **blocks, up_block_types=('CrossAttnUpBlock2D', 'UpBlock2D'), sample_size=16
        )
        controlnet = ControlNetModel(**blocks, conditioning_embedding_out_channels=(2, 4))
        for layer in (
            controlnet.controlnet_cond_embedding.conv_out,
            *controlnet.controlnet_down_blocks,
            controlnet.controlnet_mid_block,
        ):
            torch.nn.init.normal_(layer.weight, std=3.0)  # zero in a new ControlNet: no effect
        StableDiffusionControlNetPipeline(
            vae=AutoencoderKL(
                block_out_channels=(4, 8),
                down_block_types=('DownEncoderBlock2D',) * 2,
                up_block_types=('UpDecoderBlock2D',) * 2,
                norm_num_groups=2,
            ),
            text_encoder=CLIPTextModel(
                CLIPTextConfig(
                    vocab_size=len(tokens),
                    bos_token_id=tokens.index(start),
                    eos_token_id=tokens.index(end),
                    pad_token_id=tokens.index(end),
                    **transformer,
                )
            ),
            tokenizer=CLIPTokenizer(
                vocab=str(words / 'vocab.json'),
                merges=str(words / 'merges.txt'),
                model_max_length=77,
            ),
            unet=unet,
            controlnet=controlnet,
            scheduler=DDIMScheduler(
                beta_start=0.00085,
                beta_end=0.012,
                beta_schedule='scaled_linear',
                clip_sample=False,
                set_alpha_to_one=False,
                steps_offset=1,
            ),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        ).save_pretrained(root)
        encoder = CLIPVisionModelWithProjection(
            CLIPVisionConfig(image_size=16, patch_size=8, **transformer)
        )
        encoder.save_pretrained(root / 'ip_adapter' / 'image_encoder')
        weights = {
            'image_proj.proj.weight': torch.randn(4 * 16, 16),
            'image_proj.proj.bias': torch.randn(4 * 16),
            'image_proj.norm.weight': torch.ones(16),
            'image_proj.norm.bias': torch.zeros(16),
        }
        for number, name in enumerate(unet.attn_processors):
            if name.endswith('attn2.processor'):
                attention = unet.get_submodule(name.removesuffix('.processor'))
                for part in 'kv':
                    weights[f'ip_adapter.{number}.to_{part}_ip.weight'] = torch.randn(
                        attention.to_k.weight.shape
                    )
        save_file(weights, root / 'ip_adapter' / 'ip_adapter.safetensors')
    return root


@pytest.fixture(scope='session')
def tiny_depth_models(tmp_path_factory):
    """Save depth networks of random weights, 0.5 MB each: {name: folder}, only to be read.

    `dpt` is MiDaS's, of 32x32 pixels; `depth_anything` and `depth_anything_metric` see a picture
    at 56 pixels of its shorter side.
    """
    import torch
    from transformers import (
        DepthAnythingConfig,
        DepthAnythingForDepthEstimation,
        Dinov2Config,
        DPTConfig,
        DPTForDepthEstimation,
        DPTImageProcessor,
    )

    root = tmp_path_factory.mktemp('tiny_depth_models')
    backbone = {'hidden_size': 32, 'num_hidden_layers': 4, 'num_attention_heads': 4}
    # Of the usual size, random weights would give next to the same depth everywhere.
    head = {
        'neck_hidden_sizes': [8, 8, 16, 16],
        'fusion_hidden_size': 16,
        'initializer_range': 0.2,
    }
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        DPTForDepthEstimation(
            DPTConfig(
                **backbone,
                **head,
                intermediate_size=37,
                image_size=32,
                backbone_out_indices=[0, 1, 2, 3],
            )
        ).save_pretrained(root / 'dpt')
        DPTImageProcessor(size={'height': 32, 'width': 32}).save_pretrained(root / 'dpt')
        for kind, name in (('relative', 'depth_anything'), ('metric', 'depth_anything_metric')):
            DepthAnythingForDepthEstimation(
                DepthAnythingConfig(
                    backbone_config=Dinov2Config(
                        **backbone,
                        image_size=56,
                        patch_size=14,
                        out_features=['stage1', 'stage2', 'stage3', 'stage4'],
                        reshape_hidden_states=False,
                    ),
                    patch_size=14,
                    reassemble_hidden_size=32,
                    head_hidden_size=8,
                    depth_estimation_type=kind,
                    max_depth=80 if kind == 'metric' else 1,
                    **head,
                )
            ).save_pretrained(root / name)
            DPTImageProcessor(
                size={'height': 56, 'width': 56}, keep_aspect_ratio=True, ensure_multiple_of=14
            ).save_pretrained(root / name)
    return {name: root / name for name in ('dpt', 'depth_anything', 'depth_anything_metric')}


@pytest.fixture(scope='session')
def tiny_depth_model(tiny_depth_models):
    """Folder of a Depth Anything of random weights; only to be read."""
    return tiny_depth_models['depth_anything']


@pytest.fixture(scope='session')
def tiny_blip2(tmp_path_factory):
    """Save a BLIP-2 of random weights that babbles of streets: 0.1 MB, only to be read."""
    from ssd_depth_core.models.torchvision_cpu import allow_cpu_torchvision
    import tokenizers
    import torch

    allow_cpu_torchvision()
    from transformers import (
        Blip2Config,
        Blip2ForConditionalGeneration,
        Blip2Processor,
        BlipImageProcessor,
        PreTrainedTokenizerFast,
    )

    root = tmp_path_factory.mktemp('tiny_blip2')
    start, pad, end, image = '<s>', '<pad>', '</s>', '<image>'
    words = ('a', 'street', 'with', 'car', 'wall', 'tree', 'wet', 'and')
    tokens = (start, pad, end, image, *words)
    vocabulary = tokenizers.models.WordLevel({token: i for i, token in enumerate(tokens)}, pad)
    transformer = {
        'hidden_size': 16,
        'intermediate_size': 16,
        'num_hidden_layers': 1,
        'num_attention_heads': 2,
    }
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(2)
        network = Blip2ForConditionalGeneration(
            Blip2Config(
                vision_config={**transformer, 'image_size': 16, 'patch_size': 8},
                qformer_config={
                    **transformer,
                    'vocab_size': len(tokens),
                    'encoder_hidden_size': 16,
                    'cross_attention_frequency': 1,
                },
                text_config={
                    **transformer,
                    'model_type': 'opt',
                    'vocab_size': len(tokens),
                    'word_embed_proj_dim': 16,
                    'ffn_dim': 16,
                    'max_position_embeddings': 64,
                    'bos_token_id': tokens.index(start),
                    'pad_token_id': tokens.index(pad),
                    'eos_token_id': tokens.index(end),
                },
                num_query_tokens=4,
                image_token_index=tokens.index(image),
            )
        )
        for weights in network.parameters():
            torch.nn.init.normal_(weights)  # the usual ones are so small that no picture counts
    network.save_pretrained(root)
    Blip2Processor(
        BlipImageProcessor(size={'height': 16, 'width': 16}),
        PreTrainedTokenizerFast(
            tokenizer_object=tokenizers.Tokenizer(vocabulary),
            bos_token=start,
            pad_token=pad,
            eos_token=end,
            extra_special_tokens={'image_token': image},
        ),
        num_query_tokens=4,
    ).save_pretrained(root)
    return root
