"""A Stable Diffusion with depth ControlNet, small enough to be trained from scratch.

Its parts are the classes of the big one, so that whatever runs SD 1.5 from a folder runs this:
TAESD's autoencoder, UNet, ControlNet, CLIP's text encoder. Words take the place of CLIP's 49,408
pieces of words, for a handful of prompts needs no more.
"""

from collections.abc import Iterable
from dataclasses import dataclass
import json
from pathlib import Path
import shutil
from typing import Any

from ssd_depth_core.models.torchvision_cpu import allow_cpu_torchvision

allow_cpu_torchvision()  # before diffusers imports torchvision

# From their own modules: for the names in `diffusers` type checkers see placeholders.
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny  # noqa: E402
from diffusers.models.controlnets.controlnet import ControlNetModel  # noqa: E402
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel  # noqa: E402
from diffusers.pipelines.controlnet.pipeline_controlnet import (  # noqa: E402
    StableDiffusionControlNetPipeline,
)
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler  # noqa: E402
from diffusers.schedulers.scheduling_unipc_multistep import (  # noqa: E402
    UniPCMultistepScheduler,
)
from tokenizers import (  # noqa: E402
    models,
    normalizers,
    pre_tokenizers,
    processors,
    Regex,
    Tokenizer,
    trainers,
)
import torch  # noqa: E402
from torch import nn  # noqa: E402
from transformers import CLIPTextConfig, CLIPTextModel, PreTrainedTokenizerFast  # noqa: E402

PAD, UNKNOWN, START, END = '[pad]', '[unknown]', '[start]', '[end]'
NORM_GROUPS = 8
"""Of every group norm; Stable Diffusion's 32 are more than the narrowest layers here can part."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SmallPipelineConfig:
    """Say how large the networks are; the defaults suit two CPU cores."""

    height: int = 96
    """Of the pictures, pixels."""
    width: int = 160
    """Of the pictures, pixels."""
    autoencoder_width: int = 32
    """Channels of all its layers."""
    latent_channels: int = 8
    """Of the latent; it has a quarter of the picture's sides where there are three stages."""
    decoder_blocks: tuple[int, ...] = (2, 2, 0)
    """Residual blocks of each stage, coarsest first; each stage doubles the sides of the last.
    The encoder has none: see `learning.patch_components`."""
    unet_channels: tuple[int, ...] = (48, 96, 128)
    """Of the levels of UNet and ControlNet, finest first; the coarsest has attention."""
    control_channels: tuple[int, ...] = (8, 16, 32)
    """Of the layers that bring the control picture to the latent's size, finest first."""
    num_attention_heads: int = 4
    """In UNet, ControlNet and text encoder."""
    text_width: int = 64
    """Of a token's embedding."""
    text_layers: int = 2
    """Transformer layers over the prompt."""
    num_tokens: int = 12
    """Words of a prompt that count, start and end among them."""

    def __post_init__(self) -> None:
        """Validate that the parts fit each other.

        Raises:
            ValueError: If stages differ in number, channels are too few or cannot be parted
                evenly, or the pictures cannot be halved so often.
        """
        stages = len(self.decoder_blocks)
        if stages < 2 or len(self.control_channels) != stages:
            raise ValueError(
                'decoder_blocks and control_channels must have one entry a stage, two or more, '
                f'got {self.decoder_blocks} and {self.control_channels}'
            )
        least = max(3 * 4 ** (stages - 2), self.latent_channels)
        if self.autoencoder_width < least:
            raise ValueError(
                f'autoencoder_width must be >= {least} for {stages} stages and '
                f'{self.latent_channels} latent_channels, got {self.autoencoder_width}'
            )
        if len(self.unet_channels) < 2:
            raise ValueError(f'unet_channels must name >= 2 levels, got {self.unet_channels}')
        for channels in self.unet_channels:
            if channels % NORM_GROUPS or channels % self.num_attention_heads:
                raise ValueError(
                    f'unet_channels must be multiples of {NORM_GROUPS} and of '
                    f'num_attention_heads {self.num_attention_heads}, got {channels}'
                )
        if self.text_width % self.num_attention_heads:
            raise ValueError(
                f'text_width must be a multiple of num_attention_heads '
                f'{self.num_attention_heads}, got {self.text_width}'
            )
        step = self.downscale * 2 ** (len(self.unet_channels) - 1)
        if self.height % step or self.width % step:
            raise ValueError(
                f'height and width must be multiples of {step}, got {self.height}x{self.width}'
            )

    @property
    def downscale(self) -> int:
        """Tell how many pixels a latent is wide."""
        return 2 ** (len(self.decoder_blocks) - 1)


class ControlledDenoiser(nn.Module):
    """What a diffusion training trains: UNet, ControlNet and text encoder, together."""

    def __init__(
        self, unet: UNet2DConditionModel, controlnet: ControlNetModel, text_encoder: CLIPTextModel
    ) -> None:
        """Take the networks.

        Args:
            unet: Predicts v.
            controlnet: Tells it where things stand.
            text_encoder: Tells both what is asked for.
        """
        super().__init__()
        self.unet = unet
        self.controlnet = controlnet
        self.text_encoder = text_encoder

    def forward(
        self,
        noisy: torch.Tensor,
        timesteps: torch.Tensor,
        tokens: torch.Tensor,
        control: torch.Tensor,
    ) -> torch.Tensor:
        """Predict v.

        Args:
            noisy: Latents, (B, C, h, w), of unit variance at every timestep.
            timesteps: (B,) int64.
            tokens: Of the prompts, (B, N) int64.
            control: Pictures of depth, (B, 3, H, W) in [0, 1].

        Returns:
            (B, C, h, w).
        """
        prompt = self.text_encoder(tokens).last_hidden_state
        down, middle = self.controlnet(
            noisy, timesteps, prompt, controlnet_cond=control, return_dict=False
        )
        return self.unet(
            noisy,
            timesteps,
            prompt,
            down_block_additional_residuals=down,
            mid_block_additional_residual=middle,
        ).sample


def build_autoencoder(config: SmallPipelineConfig) -> AutoencoderTiny:
    """Build the autoencoder.

    Args:
        config: Its size.

    Returns:
        Random weights from torch's generator.
    """
    stages = len(config.decoder_blocks)
    return AutoencoderTiny(
        encoder_block_out_channels=(config.autoencoder_width,) * stages,
        decoder_block_out_channels=(config.autoencoder_width,) * stages,
        num_encoder_blocks=(0,) * stages,
        num_decoder_blocks=config.decoder_blocks,
        latent_channels=config.latent_channels,
    )


def build_tokenizer(phrases: Iterable[str], num_tokens: int) -> PreTrainedTokenizerFast:
    """Number the words of the prompts to come.

    Args:
        phrases: Whose words are known; all others are one unknown word.
        num_tokens: Length of every prompt in tokens.

    Returns:
        What takes CLIP's tokenizer's place: lower case, punctuation left out.
    """
    tokenizer = Tokenizer(models.WordLevel(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r'\w+'), 'removed', invert=True)
    trainer = trainers.WordLevelTrainer(
        special_tokens=[PAD, UNKNOWN, START, END], show_progress=False
    )
    tokenizer.train_from_iterator(sorted(phrases), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f'{START} $A {END}',
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (START, END)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        unk_token=UNKNOWN,
        bos_token=START,
        eos_token=END,
        model_max_length=num_tokens,
    )


def tokens_of(tokenizer: PreTrainedTokenizerFast, prompts: list[str]) -> torch.Tensor:
    """Turn prompts into tokens as the pipeline will.

    Args:
        tokenizer: Of `build_tokenizer`.
        prompts: B of them.

    Returns:
        (B, N) int64, cut or padded to the tokenizer's length.
    """
    tokens: torch.Tensor = tokenizer(
        prompts, padding='max_length', truncation=True, return_tensors='pt'
    ).input_ids
    return tokens


def build_denoiser(
    config: SmallPipelineConfig, tokenizer: PreTrainedTokenizerFast
) -> ControlledDenoiser:
    """Build what diffuses.

    Args:
        config: Its size.
        tokenizer: Whose words the text encoder knows.

    Returns:
        Random weights from torch's generator.
    """
    levels = len(config.unet_channels)
    shared = {
        'in_channels': config.latent_channels,
        'block_out_channels': config.unet_channels,
        # Attention where it is cheap and sees the whole picture: at the coarsest level.
        'down_block_types': ('DownBlock2D',) * (levels - 1) + ('CrossAttnDownBlock2D',),
        'layers_per_block': 1,
        'cross_attention_dim': config.text_width,
        'norm_num_groups': NORM_GROUPS,
        'attention_head_dim': config.num_attention_heads,  # diffusers' name for their number
    }
    unet = UNet2DConditionModel(
        **shared,
        out_channels=config.latent_channels,
        up_block_types=('CrossAttnUpBlock2D',) + ('UpBlock2D',) * (levels - 1),
        sample_size=config.width // config.downscale,
    )
    controlnet = ControlNetModel(
        **shared, conditioning_embedding_out_channels=config.control_channels
    )
    _wake(controlnet)
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=config.text_width,
            intermediate_size=4 * config.text_width,
            num_hidden_layers=config.text_layers,
            num_attention_heads=config.num_attention_heads,
            max_position_embeddings=config.num_tokens,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    return ControlledDenoiser(unet, controlnet, text_encoder)


def _wake(controlnet: ControlNetModel) -> None:
    """Give a new ControlNet random weights where diffusers leaves it silent."""
    # Zero, so as not to disturb a trained UNet. This UNet is learnt together with it, and the
    # zeros would only cost the steps that lead away from them.
    for layer in (*controlnet.controlnet_down_blocks, controlnet.controlnet_mid_block):
        layer.reset_parameters()
    # SiLU weakens; a gain of 1.5 a layer brings depth out about as strong as the latents that it
    # is added to. With torch's usual weights it was 200 times weaker, and had no visible effect
    # after 500 steps.
    for layer in controlnet.controlnet_cond_embedding.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, std=1.5 / layer.weight[0].numel() ** 0.5)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)


def noise_schedule() -> DDPMScheduler:
    """Make the noise that training adds.

    Returns:
        Stable Diffusion's betas, brought to pure noise at the last timestep: from noise that
        still held a trace of the picture, nights would come out grey (Lin et al., 2023, arXiv
        2305.08891). Such an end has no epsilon to predict, but v.
    """
    return DDPMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule='scaled_linear',
        prediction_type='v_prediction',
        rescale_betas_zero_snr=True,
        timestep_spacing='trailing',
        clip_sample=False,
    )


def join_pipeline(
    autoencoder: AutoencoderTiny, denoiser: ControlledDenoiser, tokenizer: PreTrainedTokenizerFast
) -> StableDiffusionControlNetPipeline:
    """Join the parts.

    Args:
        autoencoder: Its `scaling_factor` gives latents unit variance.
        denoiser: Trained on such latents.
        tokenizer: Of its prompts.

    Returns:
        What `save_pretrained` writes and translation loads.
    """
    # TAESD's autoencoder and any tokenizer do as well as those that the signature names.
    parts: dict[str, Any] = {'vae': autoencoder, 'tokenizer': tokenizer}
    absent: dict[str, Any] = {'safety_checker': None, 'feature_extractor': None}
    pipeline = StableDiffusionControlNetPipeline(
        **parts,
        **absent,
        text_encoder=denoiser.text_encoder,
        unet=denoiser.unet,
        controlnet=denoiser.controlnet,
        scheduler=UniPCMultistepScheduler.from_config(noise_schedule().config),
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def save_pipeline(
    pipeline: StableDiffusionControlNetPipeline, folder: Path, info: dict[str, Any]
) -> None:
    """Write the pipeline, replacing an old one when the new one is whole.

    Args:
        pipeline: What `join_pipeline` gave.
        folder: Where to; below it lies one folder a part.
        info: How the weights were made, for `training.json` beside them.

    Raises:
        OSError: If it cannot be written.
    """
    new, old = folder.with_name(f'.{folder.name}.new'), folder.with_name(f'.{folder.name}.old')
    for left in (new, old):
        shutil.rmtree(left, ignore_errors=True)
    pipeline.save_pretrained(new)
    (new / 'training.json').write_text(json.dumps(info, indent=2) + '\n')
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
