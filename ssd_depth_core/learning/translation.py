"""Learning to draw a condition from depth: the small diffusion translator, from scratch.

Two trainings of one run. The first learns to have pictures back from latents, which are the
principal components of patches; the second learns to draw such latents from noise, as depth and
prompt ask. Pictures are unpaired: each is
seen under the condition that it has, and no clear twin of it anywhere.

References: Rombach et al., 2022, arXiv 2112.10752 (latent diffusion); Zhang et al., 2023,
arXiv 2302.05543 (ControlNet); Salimans and Ho, 2022, arXiv 2202.00512 (v-prediction).
"""

from collections.abc import Mapping, Sequence
import copy
from dataclasses import dataclass, field
import json
import logging
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.state import AcceleratorState
import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.conditions import Condition
from ssd_depth_core.config import to_dict
from ssd_depth_core.data.rendered import describe_sets, read_frames, read_image
from ssd_depth_core.gdt.small_pipeline import (
    AutoencoderTiny,
    build_autoencoder,
    build_denoiser,
    build_tokenizer,
    ControlledDenoiser,
    join_pipeline,
    noise_schedule,
    save_pipeline,
    SmallPipelineConfig,
    tokens_of,
)
from ssd_depth_core.learning.loop import LoopConfig, make_accelerator, train
from ssd_depth_core.learning.patch_components import fit_encoder
from ssd_depth_core.learning.run_folder import open_run, RunFolder
from ssd_depth_core.learning.run_inputs import Inputs, rendered_inputs
from ssd_depth_core.learning.task import Validation
from ssd_depth_core.learning.tensor_file import write_tensors
from ssd_depth_core.learning.training import spread
from ssd_depth_core.learning.translation_data import (
    control_of,
    EncodedPictures,
    Example,
    examples_of,
    PictureCrops,
    WholePictures,
)
from ssd_depth_core.preprocess import resize_image
from ssd_depth_core.records import code_commit
import torch
from torch import nn
from torch.utils.data import DataLoader

logger = logging.getLogger(__name__)

SAMPLE_STEPS = 12
"""Of the sampler, for the pictures of a validation: a look, and not the best that can be had."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AutoencoderConfig:
    """Say how the decoder is learnt."""

    crop: tuple[int, int] = (96, 160)
    """(H, W) of the pieces of pictures that are learnt from: layers are local, a piece will do."""
    latent_noise: float = 0.05
    """Standard deviation of the noise that the decoder has to bear, as drawn latents are never
    quite right; the strongest latent has 1, the others less."""
    gradient_weight: float = 1.0
    """Of the mean absolute error of differences between neighbouring pixels, against 1 for that
    of the pixels."""
    num_fitted_pictures: int = 400
    """Pictures that the encoder's components are taken from, spread evenly."""
    loop: LoopConfig
    """Budget and optimizer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DiffusionTrainingConfig:
    """Say how drawing is learnt."""

    prompt_drop: float = 0.15
    """Share of pictures without prompt, from which guidance learns what no prompt means."""
    loop: LoopConfig
    """Budget and optimizer."""

    def __post_init__(self) -> None:
        """Validate.

        Raises:
            ValueError: If the share is none.
        """
        if not 0 <= self.prompt_drop < 1:
            raise ValueError(f'prompt_drop must be in [0, 1), got {self.prompt_drop}')


@dataclass(frozen=True, kw_only=True, slots=True)
class TranslatorConfig:
    """Hold everything that the training of a translator needs but its folders."""

    seed: int = 0
    """Of initial weights, order of samples and noise."""
    phrases: dict[Condition, tuple[str, ...]]
    """Prompts of each condition that is learnt; their words are all that the pipeline knows."""
    pipeline: SmallPipelineConfig = field(default_factory=SmallPipelineConfig)
    """The networks."""
    num_validation_frames: int = 64
    """Validation frames measured at each validation, spread evenly."""
    autoencoder: AutoencoderConfig
    """The first training."""
    diffusion: DiffusionTrainingConfig
    """The second."""

    def __post_init__(self) -> None:
        """Validate what concerns several parts.

        Raises:
            ValueError: If a condition has no phrase, or crops do not fit.
        """
        if not self.phrases or not all(self.phrases.values()):
            raise ValueError(f'phrases must name one or more a condition, got {self.phrases}')
        height, width = self.autoencoder.crop
        model = self.pipeline
        if (
            height > model.height
            or width > model.width
            or height % model.downscale
            or (width % model.downscale)
        ):
            raise ValueError(
                f'autoencoder.crop must be at most {model.height}x{model.width} and of multiples '
                f'of {model.downscale}, got {height}x{width}'
            )


class AutoencoderTask(nn.Module):
    """Learn to have a picture back from its latents; a `Task`."""

    def __init__(self, network: AutoencoderTiny, config: AutoencoderConfig) -> None:
        """Take the network.

        Args:
            network: Its decoder is trained; its encoder is as `fit_encoder` left it.
            config: Weights of the parts.
        """
        super().__init__()
        # NHWC is faster on a CPU, and what tensor cores want.
        self.network: Any = network.to(memory_format=torch.channels_last)  # type: ignore[call-arg]
        self.config = config

    def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Compute the objective.

        Args:
            batch: `image` (B, 3, H, W) in [-1, 1].

        Returns:
            `loss` and its parts before their weights, `error` and `gradient`.
        """
        image = batch['image'].contiguous(memory_format=torch.channels_last)
        latents = self.network.encode(image).latents
        noise = self.config.latent_noise * torch.randn_like(latents)
        difference = self.network.decode(latents + noise).sample.float() - image
        error = difference.abs().mean()
        gradient = difference.diff(dim=-1).abs().mean() + difference.diff(dim=-2).abs().mean()
        loss = error + self.config.gradient_weight * gradient
        parts = {'error': error, 'gradient': gradient}
        return {'loss': loss, **{name: part.detach() for name, part in parts.items()}}


class DiffusionTask(nn.Module):
    """Learn to take noise away from latents, as depth and prompt ask; a `Task`."""

    def __init__(self, network: ControlledDenoiser) -> None:
        """Take the networks.

        Args:
            network: UNet, ControlNet and text encoder, all of which are trained.
        """
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.schedule: Any = noise_schedule()  # whose methods diffusers types too narrowly

    def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Compute the objective.

        Args:
            batch: `latents` (B, C, h, w) of unit variance, `control` (B, 3, H, W) in [0, 1],
                `tokens` (B, N).

        Returns:
            `loss`, the mean squared error of v.
        """
        latents = batch['latents']
        noise = torch.randn_like(latents)
        count = self.schedule.config.num_train_timesteps
        timesteps = torch.randint(count, latents.shape[:1], device=latents.device)
        return {'loss': self.error(self.network, batch, noise, timesteps).mean()}

    def error(
        self,
        network: nn.Module,
        batch: dict[str, torch.Tensor],
        noise: torch.Tensor,
        timesteps: torch.Tensor,
    ) -> torch.Tensor:
        """Compare v with what a network says.

        Args:
            network: `ControlledDenoiser`, this task's or its average.
            batch: As for the objective.
            noise: (B, C, h, w), unit normal.
            timesteps: (B,) int64.

        Returns:
            Mean squared error of each sample, (B,).
        """
        latents = batch['latents']
        noisy = self.schedule.add_noise(latents, noise, timesteps)
        v = self.schedule.get_velocity(latents, noise, timesteps)
        control = batch['control'].contiguous(memory_format=torch.channels_last)
        found = network(noisy, timesteps, batch['tokens'], control)
        return (found.float() - v).square().mean((1, 2, 3))


def train_translator(
    config: TranslatorConfig,
    folders: list[Path],
    out: Path,
    *,
    command: str,
    resume: bool = False,
    cpu: bool = False,
) -> Path:
    """Train a translator on rendered sets.

    Args:
        config: What to do.
        folders: One or more training sets; the frames present now are used.
        out: Gets a run folder of each training, `autoencoder` and `diffusion`, and `pipeline`.
        command: Written beside the weights: what made them.
        resume: Whether to go on in `out`.
        cpu: Whether to stay on the CPU even where there is a GPU.

    Returns:
        The pipeline's folder.

    Raises:
        FileExistsError: If `out` holds a run and `resume` is not asked for.
        FileNotFoundError: If a set or the state to resume is missing.
        ValueError: If one of these is damaged or does not fit, or there are several processes.
        FloatingPointError: If a loss stops being finite.
    """
    # Data first, before anything is written: a wrong folder must leave no run behind.
    conditions = tuple(config.phrases)
    frames = read_frames(folders, 'train')
    examples = examples_of(frames, conditions)
    held_out = [
        example
        for condition in conditions
        for example in spread(
            examples_of(read_frames(folders, 'validation'), [condition]),
            config.num_validation_frames,
        )
    ]
    logger.info('%d training pictures, %d for validation', len(examples), len(held_out))
    provenance = {
        'training_command': command,
        'training_config': to_dict(config),
        'training_commit': code_commit(),  # now: code may change on disk while it runs
        'training_data': f'synthetic: {len(examples)} rendered street pictures in '
        f'{", ".join(conditions)}, unpaired, with exact depth; {describe_sets(frames)}',
    }

    # The autoencoder comes first, and is then fixed: latents are computed once.
    inputs = rendered_inputs(folders)
    torch.manual_seed(config.seed)
    autoencoder = _train_autoencoder(
        config, examples, held_out, inputs, out / 'autoencoder', resume=resume, cpu=cpu
    )
    # Accelerate keeps the precision of a process's first Accelerator, and refuses another.
    AcceleratorState._reset_state(reset_partial_state=True)
    diffusion = RunFolder(out / 'diffusion')
    _train_diffusion(
        config,
        autoencoder,
        examples,
        held_out,
        inputs,
        diffusion.path,
        out / 'pipeline',
        provenance,
        resume=resume and diffusion.state.exists(),  # else the first training was interrupted
        cpu=cpu,
    )
    return out / 'pipeline'


def _train_autoencoder(
    config: TranslatorConfig,
    examples: list[Example],
    held_out: list[Example],
    inputs: Inputs,
    out: Path,
    *,
    resume: bool,
    cpu: bool,
) -> AutoencoderTiny:
    """Give the averaged autoencoder in evaluation mode, where it was trained."""
    size, loop = (config.pipeline.height, config.pipeline.width), config.autoencoder.loop
    accelerator = make_accelerator(loop, cpu)
    if accelerator.num_processes > 1:
        # They part when a training ends, and do not find each other again reliably.
        raise ValueError(
            f'two trainings follow each other here, which takes one process, got '
            f'{accelerator.num_processes}; launch it with `python -m`'
        )
    autoencoder = build_autoencoder(config.pipeline)
    some = WholePictures(spread(examples, config.autoencoder.num_fitted_pictures), size)
    fit_encoder(autoencoder, (some[number] for number in range(len(some))))
    task = AutoencoderTask(autoencoder, config.autoencoder)

    def validate(average: nn.Module) -> Validation:
        assert isinstance(average, AutoencoderTiny)
        return _validate_autoencoder(average, held_out, size)

    def save(average: nn.Module, step: int, metrics: dict[str, Any]) -> None:
        header = {'step': str(step), 'metrics': json.dumps(metrics)}
        write_tensors(run.checkpoint, average.state_dict(), header, 'autoencoder')

    plain = _plain(config, 'diffusion', 'autoencoder')
    run = open_run(out, plain, inputs, resume)
    dataset = PictureCrops(examples, size, config.autoencoder.crop)
    average = train(
        task, dataset, validate, save, loop, run, accelerator, seed=config.seed, resume=resume
    )
    assert isinstance(average, AutoencoderTiny)
    return average


def _train_diffusion(
    config: TranslatorConfig,
    autoencoder: AutoencoderTiny,
    examples: list[Example],
    held_out: list[Example],
    inputs: Inputs,
    out: Path,
    pipeline: Path,
    provenance: dict[str, Any],
    *,
    resume: bool,
    cpu: bool,
) -> None:
    """Leave the pipeline's folder."""
    model, loop = config.pipeline, config.diffusion.loop
    size = (model.height, model.width)
    accelerator = make_accelerator(loop, cpu)
    latents = encode(autoencoder, WholePictures(examples, size), loop, accelerator)
    # The deviation of all latents, as Stable Diffusion does it.
    scale = 1 / latents.float().std().item()
    autoencoder.register_to_config(scaling_factor=scale)
    logger.info('%d pictures encoded, scaling factor %.3f', len(latents), scale)

    phrases = [phrase for some in config.phrases.values() for phrase in some]
    tokenizer = build_tokenizer(phrases, model.num_tokens)
    prompts = {name: tokens_of(tokenizer, list(some)) for name, some in config.phrases.items()}
    no_prompt = tokens_of(tokenizer, [''])[0]

    def encoded(some: list[Example], latents: torch.Tensor, drop: float) -> EncodedPictures:
        return EncodedPictures(some, scale * latents, prompts, no_prompt, size, drop)

    task = DiffusionTask(build_denoiser(model, tokenizer))
    dataset = encoded(examples, latents, config.diffusion.prompt_drop)
    held_out_latents = encode(autoencoder, WholePictures(held_out, size), loop, accelerator)
    validation = encoded(held_out, held_out_latents, 0)

    def validate(average: nn.Module) -> Validation:
        assert isinstance(average, ControlledDenoiser)
        metrics = _held_out_errors(task, average, validation, loop.batch_size)
        joined = join_pipeline(autoencoder, average, tokenizer)
        return Validation(metrics, _draw(joined, held_out, config.phrases, size))

    def save(average: nn.Module, step: int, metrics: dict[str, Any]) -> None:
        plain = [_plain_strides(part) for part in (autoencoder, average)]
        info = {**provenance, 'step': step, 'metrics': metrics}
        save_pipeline(join_pipeline(plain[0], plain[1], tokenizer), pipeline, info)

    plain = _plain(config, 'autoencoder', 'diffusion')
    run = open_run(out, plain, inputs, resume)
    train(task, dataset, validate, save, loop, run, accelerator, seed=config.seed, resume=resume)


def _plain_strides(network: Any) -> Any:
    """Copy a network to the CPU, with the strides that safetensors takes."""
    return copy.deepcopy(network).cpu().to(memory_format=torch.contiguous_format)


def _plain(config: TranslatorConfig, other: str, own: str) -> dict[str, Any]:
    """Give the config of one training, its loop where every run folder has it."""
    values = to_dict(config)
    del values[other]
    training = values.pop(own)
    return {**values, 'loop': training.pop('loop'), own: training}


@torch.inference_mode()
def encode(
    autoencoder: AutoencoderTiny,
    pictures: WholePictures,
    loop: LoopConfig,
    accelerator: Accelerator,
) -> torch.Tensor:
    """Encode pictures.

    Args:
        autoencoder: In evaluation mode.
        pictures: N of them.
        loop: Gives the batch and the number of processes that read.
        accelerator: Gives the precision.

    Returns:
        (N, C, h, w) float16 on the CPU, as they are, not scaled.
    """
    parts = []
    loader = DataLoader(pictures, batch_size=loop.batch_size, num_workers=loop.num_workers)
    for batch in loader:
        batch = batch.to(autoencoder.device, memory_format=torch.channels_last)
        with accelerator.autocast():
            latents = autoencoder.encode(batch).latents
        parts.append(latents.half().cpu())
    return torch.cat(parts)


@torch.inference_mode()
def _validate_autoencoder(
    autoencoder: AutoencoderTiny, held_out: list[Example], size: tuple[int, int]
) -> Validation:
    """Measure the peak signal-to-noise ratio [dB] by condition, and draw before over after."""
    ratios: dict[str, list[float]] = {}
    pictures: dict[str, NDArray[np.uint8]] = {}
    whole = WholePictures(held_out, size)
    for number, example in enumerate(held_out):
        image = whole[number][None].to(autoencoder.device, memory_format=torch.channels_last)
        found = autoencoder(image).sample.clamp(-1, 1)
        # Of values in [-1, 1]: the peak is 2.
        ratio = -10 * torch.log10((found - image).square().mean() / 4).item()
        ratios.setdefault(example.condition, []).append(ratio)
        pair = torch.cat((image, found), dim=2)[0]
        pictures.setdefault(example.condition, _unsigned(pair))
    return Validation(
        {name: {'psnr_db': float(np.mean(some))} for name, some in ratios.items()}, pictures
    )


@torch.inference_mode()
def _held_out_errors(
    task: DiffusionTask, network: ControlledDenoiser, pictures: EncodedPictures, batch_size: int
) -> dict[str, Any]:
    """Measure the objective by condition, always with the same noise."""
    generator = torch.Generator().manual_seed(0)
    device = next(network.parameters()).device
    errors: dict[str, list[float]] = {}
    samples = [pictures[number, number] for number in range(len(pictures))]
    for start in range(0, len(samples), batch_size):
        some = samples[start : start + batch_size]
        batch = {name: torch.stack([sample[name] for sample in some]) for name in some[0]}
        noise = torch.randn(batch['latents'].shape, generator=generator)
        count = task.schedule.config.num_train_timesteps
        timesteps = torch.randint(count, (len(some),), generator=generator)
        batch = {name: value.to(device) for name, value in batch.items()}
        found = task.error(network, batch, noise.to(device), timesteps.to(device))
        for example, error in zip(pictures.examples[start:], found.tolist(), strict=False):
            errors.setdefault(example.condition, []).append(error)
    return {name: {'v_error': float(np.mean(some))} for name, some in errors.items()}


def _draw(
    pipeline: Any,
    held_out: list[Example],
    phrases: Mapping[Condition, Sequence[str]],
    size: tuple[int, int],
) -> dict[str, NDArray[np.uint8]]:
    """Draw depth, real picture and drawn picture of one frame a condition, one above another."""
    pictures: dict[str, NDArray[np.uint8]] = {}
    for condition, some in phrases.items():
        example = next(example for example in held_out if example.condition == condition)
        control = control_of(example.frame, size)
        real = resize_image(read_image(example.frame, condition), size)
        drawn = pipeline(
            some[0],
            image=torch.from_numpy(control).permute(2, 0, 1)[None].float() / 255,
            num_inference_steps=SAMPLE_STEPS,
            guidance_scale=1.0,
            generator=torch.Generator().manual_seed(0),
            output_type='np',
        ).images[0]
        pictures[condition] = np.concatenate((control, real, np.rint(255 * drawn))).astype(
            np.uint8
        )
    return pictures


def _unsigned(image: torch.Tensor) -> NDArray[np.uint8]:
    """Turn (3, H, W) in [-1, 1] into a picture."""
    pixels = ((image + 1) * 127.5).round().to(torch.uint8)
    return pixels.permute(1, 2, 0).cpu().numpy()  # (H, W, 3)
