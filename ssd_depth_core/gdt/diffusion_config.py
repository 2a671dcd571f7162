"""What the user of the diffusion translator may choose; the paper's choices by default."""

from dataclasses import dataclass
from typing import Literal

from ssd_depth_core.gdt.precision import Precision

LORA_WEIGHTS = 'pytorch_lora_weights.safetensors'
"""The name under which diffusers saves a LoRA."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DiffusionConfig:
    """Configure Stable Diffusion, its depth ControlNet and its IP-Adapter.

    A model is a hub id, which must be in the local cache, or a folder that `save_pretrained`
    wrote. Names are those of diffusers.
    """

    model: str = 'stable-diffusion-v1-5/stable-diffusion-v1-5'
    """Text encoder, UNet and autoencoder; `StableDiffusionPipeline` or, with a ControlNet in it,
    `StableDiffusionControlNetPipeline`."""
    controlnet: str | None = 'lllyasviel/control_v11f1p_sd15_depth'
    """Depth ControlNet; None: the one in `model`."""
    ip_adapter: str | None = 'h94/IP-Adapter'
    """Where the IP-Adapter is; None: pictures are steered by text alone."""
    ip_adapter_subfolder: str = 'models'
    """Of `ip_adapter`; holds the weights and, in `image_encoder`, the CLIP that sees."""
    ip_adapter_weights: str = 'ip-adapter_sd15.safetensors'
    """File in that folder."""
    lora: str | None = None
    """Few-step LoRA, merged into the UNet, e.g. `latent-consistency/lcm-lora-sdv1-5` (with the
    scheduler `lcm`, 4 steps, guidance 1.5); None: none. A distilled model needs none."""
    scheduler: Literal['unipc', 'dpmsolver', 'ddim', 'lcm'] = 'unipc'
    """Sampler; its noise schedule is the model's."""
    num_inference_steps: int = 25
    """Of the sampler."""
    guidance_scale: float = 7.5
    """How much more the prompt counts than the negative prompt; up to 1 halves the work, and
    negative prompts are ignored."""
    controlnet_conditioning_scale: float = 1.0
    """Of the ControlNet's outputs."""
    control_guidance_start: float = 0.0
    """Share of the steps after which the ControlNet sets in."""
    control_guidance_end: float = 1.0
    """Share of the steps after which the ControlNet stops."""
    size: tuple[int, int] = (512, 912)
    """(H, W) at which pictures are made, pixels; multiples of the autoencoder's factor, which is
    8 for Stable Diffusion. 912x512 is nearest to nuScenes' 16:9; RobotCar's is 856x512."""
    dtype: Precision = 'auto'
    """`auto`: float16 on a GPU, float32 on a CPU."""
    safety_checker: bool = True
    """Whether pictures that the model's own checker finds offensive are left out. A model without
    a checker needs False."""
    attention_slicing: bool = False
    """Less memory and slower; not together with an IP-Adapter."""
    vae_slicing: bool = False
    """Decode one picture at a time: less memory."""
    vae_tiling: bool = False
    """Decode in tiles: less memory, faint changes of tone between tiles."""
    cpu_offload: bool = False
    """Keep only the network at work on the GPU: least memory, slower."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: If one is out of its range, or two choices exclude each other.
        """
        if self.num_inference_steps < 1:
            raise ValueError(
                f'num_inference_steps must be at least 1, got {self.num_inference_steps}'
            )
        for name in ('guidance_scale', 'controlnet_conditioning_scale'):
            if not 0 <= getattr(self, name) < float('inf'):
                raise ValueError(f'{name} must be >= 0 and finite, got {getattr(self, name)}')
        if not 0 <= self.control_guidance_start < self.control_guidance_end <= 1:
            raise ValueError(
                'control_guidance_start and _end must be 0 <= start < end <= 1, got '
                f'{self.control_guidance_start} and {self.control_guidance_end}'
            )
        if min(self.size) < 8:
            raise ValueError(f'size must be (H, W) of 8 px and more, got {self.size}')
        if self.ip_adapter is not None and not self.ip_adapter_weights.endswith('.safetensors'):
            raise ValueError(
                f'ip_adapter_weights must be a .safetensors file, got {self.ip_adapter_weights}; '
                'pickled weights can run code and are not read'
            )
        if self.attention_slicing and self.ip_adapter is not None:
            raise ValueError(
                'attention_slicing would replace the attention that the IP-Adapter lives in; '
                'use cpu_offload or vae_tiling instead, or set ip_adapter to null'
            )
