"""The translator that diffuses: SSD's generator, steered by text, a photograph and depth."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from ssd_depth_core.conditions import Condition
from ssd_depth_core.gdt.condition_recipe import ConditionRecipe
from ssd_depth_core.gdt.control_image import control_image
from ssd_depth_core.gdt.diffusion_config import DiffusionConfig
from ssd_depth_core.gdt.exposure import darken, draw_luminance
from ssd_depth_core.gdt.fitting_batches import FittingBatches
from ssd_depth_core.gdt.image_prompts import BROKEN, ImagePrompts
from ssd_depth_core.gdt.prompts import prompt_of
from ssd_depth_core.gdt.translator import Request, Translation
from ssd_depth_core.preprocess import resize_image

__all__ = ['DiffusionConfig', 'DiffusionTranslator']


@dataclass(frozen=True, kw_only=True, slots=True)
class _Draft:
    """Hold all that steers one picture."""

    control: NDArray[np.uint8]
    """(h, w, 3), of the size at which pictures are made."""
    prompt: str
    photograph: str | None
    """Name; None where none is shown."""
    photograph_pixels: NDArray[np.uint8]
    """Of any size; black where none is shown."""
    luminance: float | None
    """Mean that the picture is darkened to; None: left as it comes out."""
    seed: int
    """Of its noise."""
    size: tuple[int, int]
    """(H, W) of the frame, pixels."""


class DiffusionTranslator:
    """Make pictures with Stable Diffusion; a `Translator`.

    On one kind of machine the same batch gives the same bytes. A picture that is made in a batch
    of another size differs by rounding, as networks then sum in another order: by 1e-6 of full
    scale in float32 on a CPU, which changes a byte by one now and then.
    """

    name = 'diffusion'

    def __init__(
        self,
        config: DiffusionConfig,
        conditions: Mapping[Condition, ConditionRecipe],
        device: str,
    ) -> None:
        """Load the networks.

        Args:
            config: Of the networks.
            conditions: How each is made.
            device: Where the networks run, e.g. `cpu` or `cuda:0`.

        Raises:
            FileNotFoundError: If a model or a folder of photographs is not on this machine.
            ValueError: If models do not fit each other or `size`, a folder of photographs is
                empty, there is no IP-Adapter to show them to, or a LoRA changes more than the
                UNet or peft, which reads it, is not installed.
        """
        # The photographs first: they are looked up in no time, and networks load for minutes.
        self._photographs = {
            condition: ImagePrompts(recipe.image_prompts)
            for condition, recipe in conditions.items()
            if recipe.image_prompts is not None
        }
        if config.ip_adapter is None and self._photographs:
            raise ValueError(
                f'image_prompts of {", ".join(self._photographs)} need an IP-Adapter; name one in '
                'ip_adapter, or set image_prompts to null'
            )
        # Here, so that recipes are read without waiting for torch and diffusers.
        from ssd_depth_core.gdt.diffusion_pipeline import load_pipeline
        import torch

        self._config = config
        self._conditions = conditions
        self._pipeline = load_pipeline(config, torch.device(device))
        self._batches = FittingBatches(
            f'diffusion at {config.size[0]}x{config.size[1]} px',
            None,
            'batch_size of the next folder',  # it composes batches: not in the midst of one
            'Set diffusion.cpu_offload, vae_tiling or, without an IP-Adapter, attention_slicing '
            'to true, or make diffusion.size smaller',
        )
        parts = {
            'diffusion': config.model,
            'controlnet': config.controlnet,
            'ip_adapter': config.ip_adapter and f'{config.ip_adapter}/{config.ip_adapter_weights}',
            'lora': config.lora,
        }
        self.models = {part: model for part, model in parts.items() if model is not None}

    def translate(self, requests: Sequence[Request]) -> list[Translation | str]:
        """Make the pictures of one batch, those of one condition together.

        Where they do not fit into the GPU's memory, batches are halved from then on, which rounds
        otherwise: a GPU with more memory may not give quite the same bytes.

        Args:
            requests: Any number.

        Returns:
            One picture each, of its frame's size. In place of one that the safety checker blanked,
            that is not finite, or whose photograph cannot be read stands the reason.

        Raises:
            ValueError: If a condition has no recipe.
            MemoryError: If not even one picture fits into the GPU's memory.
        """
        results: dict[int, Translation | str] = {}
        drafts: dict[Condition, dict[int, _Draft]] = defaultdict(dict)
        for number, request in enumerate(requests):
            try:
                drafts[request.condition][number] = self._draft(request)
            except _BrokenPhotographError as error:
                results[number] = str(error)
        for condition, waiting in drafts.items():
            made = self._batches.run(
                list(waiting.values()), partial(self._diffuse, condition=condition)
            )
            results |= zip(waiting, made, strict=True)
        return [results[number] for number in range(len(requests))]

    def _draft(self, request: Request) -> _Draft:
        """Draw what is random in a picture, save its noise.

        Each thing from its own stream, so that another list of phrases changes no photograph.
        """
        if request.condition not in self._conditions:
            raise ValueError(
                f'condition {request.condition!r} has no recipe; there are '
                f'{", ".join(self._conditions) or "none"}'
            )
        recipe = self._conditions[request.condition]
        phrase_rng, photograph_rng, light_rng = map(
            np.random.default_rng, np.random.SeedSequence(request.seed).spawn(3)
        )
        photograph, pixels = None, np.zeros((1, 1, 3), np.uint8)
        if request.condition in self._photographs:
            photographs = self._photographs[request.condition]
            photograph = photographs.draw(photograph_rng)
            try:
                pixels = photographs.read(photograph)
            except (OSError, ValueError) as error:
                raise _BrokenPhotographError(f'{BROKEN}{error}') from None
        return _Draft(
            control=resize_image(control_image(request.depth.inverse_depth), self._config.size),
            prompt=prompt_of(recipe, request.caption, phrase_rng),
            photograph=photograph,
            photograph_pixels=pixels,
            luminance=draw_luminance(recipe.exposure, light_rng) if recipe.exposure else None,
            seed=request.seed,
            size=request.picture.shape[:2],
        )

    def _diffuse(self, drafts: Sequence[_Draft], condition: Condition) -> list[Translation | str]:
        import torch

        config, recipe = self._config, self._conditions[condition]
        height, width = config.size
        shown: dict[str, list[Image.Image]] = {}
        if config.ip_adapter is not None:
            # An IP-Adapter cannot be left out of a UNet that has one, but at 0 it adds nothing.
            shows = condition in self._photographs
            self._pipeline.set_ip_adapter_scale(recipe.image_prompt_scale if shows else 0.0)
            shown['ip_adapter_image'] = [
                Image.fromarray(draft.photograph_pixels) for draft in drafts
            ]
        control = torch.from_numpy(np.stack([draft.control for draft in drafts]))
        output = self._pipeline(
            prompt=[draft.prompt for draft in drafts],
            negative_prompt=[recipe.negative_prompt] * len(drafts),
            image=control.permute(0, 3, 1, 2) / 255,  # (B, 3, h, w) in [0, 1]
            height=height,
            width=width,
            num_inference_steps=config.num_inference_steps,
            guidance_scale=config.guidance_scale,
            controlnet_conditioning_scale=config.controlnet_conditioning_scale,
            control_guidance_start=config.control_guidance_start,
            control_guidance_end=config.control_guidance_end,
            # On the CPU, whose random numbers are the same whatever the GPU.
            generator=[torch.Generator('cpu').manual_seed(draft.seed) for draft in drafts],
            output_type='pt',
            **shown,
        )
        pictures = output.images.float().cpu().permute(0, 2, 3, 1).numpy()  # (B, h, w, 3)
        blanked = output.nsfw_content_detected or [False] * len(drafts)
        return [
            _finish(draft, picture, is_blank)
            for draft, picture, is_blank in zip(drafts, pictures, blanked, strict=True)
        ]


class _BrokenPhotographError(ValueError):
    """Says which photograph cannot be shown, and why."""


def _finish(draft: _Draft, picture: NDArray[np.float32], is_blank: bool) -> Translation | str:
    """Bring a picture, (h, w, 3) in [0, 1], to its frame's size and brightness."""
    if is_blank:
        return f'blanked by the safety checker, with the prompt {draft.prompt!r}'
    if not np.isfinite(picture).all():
        return (
            f'{np.sum(~np.isfinite(picture))} of its values are not finite; diffusion.dtype '
            'float32 or bfloat16 has the range that float16 lacks'
        )
    finished = _resize(np.rint(picture * 255).astype(np.uint8), draft.size)
    if draft.luminance is not None:
        finished = darken(finished, draft.luminance)
    return Translation(picture=finished, prompt=draft.prompt, image_prompt=draft.photograph)


def _resize(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Shrink by areas, which rings beside no lamp; enlarge by Lanczos, which blurs least."""
    shrinks = picture.shape[0] >= size[0] and picture.shape[1] >= size[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LANCZOS4
    return np.asarray(cv2.resize(picture, size[::-1], interpolation=how), np.uint8)
