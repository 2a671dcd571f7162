"""Stable Diffusion with a depth ControlNet and an IP-Adapter, put together from local files.

Importing this waits for torch, transformers and diffusers; whoever only reads configs need not.
"""

from typing import Any

from ssd_depth_core.gdt.diffusion_config import DiffusionConfig, LORA_WEIGHTS
from ssd_depth_core.gdt.local_models import loading
from ssd_depth_core.gdt.precision import dtype_of
from ssd_depth_core.models.torchvision_cpu import allow_cpu_torchvision

allow_cpu_torchvision()  # before diffusers imports torchvision

# From their own modules: for the names in `diffusers` type checkers see placeholders.
from diffusers.models.controlnets.controlnet import ControlNetModel  # noqa: E402
from diffusers.models.embeddings import ImageProjection  # noqa: E402
from diffusers.pipelines.controlnet.pipeline_controlnet import (  # noqa: E402
    StableDiffusionControlNetPipeline,
)
from diffusers.schedulers.scheduling_ddim import DDIMScheduler  # noqa: E402
from diffusers.schedulers.scheduling_dpmsolver_multistep import (  # noqa: E402
    DPMSolverMultistepScheduler,
)
from diffusers.schedulers.scheduling_lcm import LCMScheduler  # noqa: E402
from diffusers.schedulers.scheduling_unipc_multistep import (  # noqa: E402
    UniPCMultistepScheduler,
)
import torch  # noqa: E402
from transformers import CLIPTextModel, CLIPVisionModelWithProjection  # noqa: E402

SCHEDULERS = {
    'unipc': UniPCMultistepScheduler,
    'dpmsolver': DPMSolverMultistepScheduler,
    'ddim': DDIMScheduler,
    'lcm': LCMScheduler,
}


class GuidedPipeline(StableDiffusionControlNetPipeline):
    """Give each picture of a batch its own photograph.

    Differs: diffusers shows every picture of a batch all the photographs that are passed.
    """

    def prepare_ip_adapter_image_embeds(
        self,
        ip_adapter_image: list[Any],
        ip_adapter_image_embeds: None,
        device: torch.device,
        num_images_per_prompt: int,
        do_classifier_free_guidance: bool,
    ) -> list[torch.Tensor]:
        """Encode one photograph a picture; called by diffusers.

        Args:
            ip_adapter_image: PIL images, one a picture.
            ip_adapter_image_embeds: Not used.
            device: Of the result.
            num_images_per_prompt: Not used.
            do_classifier_free_guidance: Whether to put the embeddings of no photograph in front.

        Returns:
            One tensor for the one IP-Adapter: (B or 2 B, 1 photograph, ...).
        """
        (projection,) = self.unet.encoder_hid_proj.image_projection_layers
        shown, unshown = self.encode_image(
            ip_adapter_image, device, 1, not isinstance(projection, ImageProjection)
        )
        embeds = torch.cat([unshown, shown]) if do_classifier_free_guidance else shown
        return [embeds[:, None]]


def load_pipeline(config: DiffusionConfig, device: torch.device) -> GuidedPipeline:
    """Put the networks together.

    Args:
        config: Which, and how they save memory.
        device: Where they run.

    Returns:
        The pipeline, on the device unless it is offloaded.

    Raises:
        FileNotFoundError: If a model is not on this machine, or not whole.
        ValueError: If models do not fit each other, the model has no safety checker though one is
            asked for, `size` does not fit the autoencoder, a CPU is to be offloaded, or a LoRA
            changes more than the UNet or peft, which reads it, is not installed.
    """
    if config.lora is not None:
        _require_peft(config.lora)  # first: networks load for minutes
    # Never from the hub: workers of one run would all fetch the same gigabytes. Never pickles:
    # they can run code.
    local: dict[str, Any] = {'local_files_only': True, 'use_safetensors': True}
    local['dtype'] = dtype_of(config.dtype, device.type)
    parts: dict[str, Any] = {}
    with loading('diffusion model', config.model, '*/'):
        parts['text_encoder'] = _load_clip(CLIPTextModel, config.model, 'text_encoder', local)
    if config.controlnet is not None:
        with loading('ControlNet', config.controlnet):
            parts['controlnet'] = ControlNetModel.from_pretrained(config.controlnet, **local)
            _require_whole(parts['controlnet'])
    if config.ip_adapter is not None:
        with loading('IP-Adapter', config.ip_adapter, f'{config.ip_adapter_subfolder}/'):
            parts['image_encoder'] = _load_clip(
                CLIPVisionModelWithProjection,
                config.ip_adapter,
                f'{config.ip_adapter_subfolder}/image_encoder',
                local,
            )
    if not config.safety_checker:
        parts |= {'safety_checker': None, 'requires_safety_checker': False}
    with loading('diffusion model', config.model, '*/'):
        pipeline = GuidedPipeline.from_pretrained(config.model, **local, **parts)
        for network in (pipeline.unet, pipeline.controlnet, pipeline.vae):
            _require_whole(network)
    _check_fit(pipeline, config)
    pipeline.scheduler = SCHEDULERS[config.scheduler].from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    if config.lora is not None:
        _merge_lora(pipeline, config.lora)
    if config.ip_adapter is not None:
        # After the LoRA, whose layers would replace the ones that the IP-Adapter hangs on.
        with loading('IP-Adapter', config.ip_adapter, f'{config.ip_adapter_subfolder}/'):
            pipeline.load_ip_adapter(
                config.ip_adapter,
                subfolder=config.ip_adapter_subfolder,
                weight_name=config.ip_adapter_weights,
                local_files_only=True,
            )
    if config.attention_slicing:
        pipeline.enable_attention_slicing()
    if config.vae_slicing:
        pipeline.vae.enable_slicing()
    if config.vae_tiling:
        pipeline.vae.enable_tiling()
    if not config.cpu_offload:
        return pipeline.to(device)
    if device.type == 'cpu':
        raise ValueError('cpu_offload moves networks off a GPU, got a CPU; set it to false')
    pipeline.enable_model_cpu_offload(device=device)
    return pipeline


def _load_clip(kind: Any, model: str, subfolder: str, local: dict[str, Any]) -> torch.nn.Module:
    """Load a network of transformers, which would make up the weights that its file lacks."""
    network, report = kind.from_pretrained(
        model, subfolder=subfolder, output_loading_info=True, **local
    )
    if lacking := sorted(report['missing_keys']):
        raise ValueError(f'{subfolder} lacks {", ".join(lacking[:3])}.')
    return network


def _require_whole(network: torch.nn.Module) -> None:
    """Require all weights of a network of diffusers, which leaves out those its file lacks."""
    lacking = [name for name, weight in network.named_parameters() if weight.is_meta]
    if lacking:
        raise ValueError(f'its {type(network).__name__} lacks {", ".join(lacking[:3])}.')


def _check_fit(pipeline: GuidedPipeline, config: DiffusionConfig) -> None:
    if config.safety_checker and pipeline.safety_checker is None:
        raise ValueError(
            f'diffusion model {config.model} has no safety checker; set safety_checker to false'
        )
    factor = pipeline.vae_scale_factor
    if any(side % factor for side in config.size):
        raise ValueError(
            f'size must be a multiple of {factor} px on both sides, by which the autoencoder of '
            f'{config.model} shrinks pictures, got {config.size}'
        )
    unet, controlnet = pipeline.unet.config, pipeline.controlnet.config
    for name in ('cross_attention_dim', 'in_channels', 'block_out_channels'):
        if unet[name] != controlnet[name]:
            raise ValueError(
                f'ControlNet {config.controlnet} must have the {name} of {config.model}, '
                f'{unet[name]}, got {controlnet[name]}; take the one that was trained for it'
            )


def _require_peft(lora: str) -> None:
    try:
        import peft  # noqa: F401  # diffusers reads LoRAs through it
    except ImportError:
        raise ValueError(
            f'LoRA {lora} needs peft, which is not installed: pip install peft; or set '
            'diffusion.lora to null'
        ) from None


def _merge_lora(pipeline: GuidedPipeline, lora: str) -> None:
    with loading('LoRA', lora):
        weights, _ = pipeline.lora_state_dict(
            lora, weight_name=LORA_WEIGHTS, local_files_only=True
        )
    # diffusers leaves out what it has no place for, and a text encoder's would not be merged.
    others = sorted(name for name in weights if not name.startswith('unet.'))
    if others:
        raise ValueError(
            f'LoRA {lora} must change the UNet alone, got {len(others)} other weights, '
            f'{others[0]} among them; take one that was trained without the text encoder'
        )
    with loading('LoRA', lora):
        pipeline.load_lora_weights(lora, weight_name=LORA_WEIGHTS, local_files_only=True)
    num_taken = sum('lora_' in name for name, _ in pipeline.unet.named_parameters())
    if num_taken != len(weights):
        raise ValueError(
            f'LoRA {lora} has {len(weights)} weights, of which the UNet takes {num_taken}; take '
            'one that was trained for it'
        )
    pipeline.fuse_lora(components=['unet'])
    pipeline.unload_lora_weights()
