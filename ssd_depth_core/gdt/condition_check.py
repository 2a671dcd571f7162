"""Does a translated picture look like its condition? By its light and colours, or by CLIP."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.conditions import Condition, CONDITIONS
from ssd_depth_core.gdt.local_models import loading, require_whole

Picture = NDArray[np.uint8]
Bounds = dict[str, tuple[float, float]]
"""Least and greatest value of a score by its name."""

_ANY = float('inf')
BOUNDS: dict[Condition, Bounds] = {
    'night': {'luminance_ratio': (0.0, 0.75)},
    'night-rain': {'luminance_ratio': (0.0, 0.75)},
    'day-rain': {'luminance_ratio': (0.5, _ANY), 'contrast_ratio': (0.0, 1.2)},
    'fog': {'luminance_ratio': (0.5, _ANY), 'contrast_ratio': (0.0, 0.9)},
    'snow': {'luminance_ratio': (0.8, _ANY)},
}
"""What every picture of a condition has in common, beside the same street on a clear day. Rendered
twins keep to it with room on either side: nights have 0.23 to 0.59 of the day's luminance, rain
and fog at least 1.16, snow 1.3; rain and fog have at most 0.62 of its contrast. Chroma is measured
but bounds nothing: beside a grey street, rain and snow are colourful. Clear days and a low sun may
look like anything."""

TEXTS: dict[Condition, str] = {
    'day-clear': 'a photo of a street on a clear day',
    'night': 'a photo of a street at night',
    'day-rain': 'a photo of a street on a rainy day',
    'night-rain': 'a photo of a street on a rainy night',
    'fog': 'a photo of a street in fog',
    'snow': 'a photo of a street in snow',
    'low-sun': 'a photo of a street at sunset',
}
"""What CLIP may choose from."""
OTHERWISE = 'set condition_check to statistics'
"""What does without CLIP."""


def light_scores(picture: Picture, source: Picture) -> dict[str, float | None]:
    """Compare a picture's light and colours with its source's.

    Args:
        picture: (H, W, 3) RGB.
        source: Likewise.

    Returns:
        Ratios of mean luminance, of its standard deviation, and of mean chroma (brightest less
        darkest channel); None of what the source has none of.
    """
    ours, theirs = _light(picture), _light(source)
    names = ('luminance_ratio', 'contrast_ratio', 'chroma_ratio')
    return {name: a / b if b else None for name, a, b in zip(names, ours, theirs, strict=True)}


def _light(picture: Picture) -> tuple[float, float, float]:
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    chroma = picture.max(-1).astype(np.int16) - picture.min(-1)
    return float(grey.mean()), float(grey.std()), float(chroma.mean())


class ClipJudge:
    """Ask CLIP which condition a picture shows.

    Args:
        model: Hub id, which must be in the local cache, or folder written by `save_pretrained`.
        device: Where the network runs, e.g. `cpu` or `cuda:0`.

    Raises:
        FileNotFoundError: If the network, or a part of it, is not on this machine.
        ValueError: If its files hold another one.

    Reference: Radford et al. 2021, arXiv 2103.00020, 3.1 (zero-shot classification).
    """

    def __init__(self, model: str, device: str) -> None:
        # Here, so that a gate without CLIP does not wait for torch and transformers.
        from ssd_depth_core.models.torchvision_cpu import allow_cpu_torchvision

        allow_cpu_torchvision()
        from transformers import AutoConfig, CLIPModel, CLIPProcessor

        self._device = device
        local: dict[str, Any] = {'local_files_only': True}
        with loading('CLIP', model, otherwise=OTHERWISE):
            kind = AutoConfig.from_pretrained(model, **local).model_type
        if kind != 'clip':  # which would then be built at full size and at random
            raise ValueError(
                f'clip_model {model} must be a CLIP, got {kind}; e.g. openai/clip-vit-base-patch32'
            )
        with loading('CLIP', model, otherwise=OTHERWISE):
            # The network first: a processor takes an unknown folder for an ill-formed hub id.
            loaded: Any = CLIPModel.from_pretrained(
                model, use_safetensors=True, output_loading_info=True, **local
            )
            self._processor = CLIPProcessor.from_pretrained(model, **local)
        network, report = loaded
        require_whole('CLIP', model, report['missing_keys'])
        self._network = network.to(device).eval()

    def probabilities(
        self, pictures: Sequence[Picture], conditions: Sequence[Condition]
    ) -> list[float]:
        """Say how likely each picture shows what it should.

        Args:
            pictures: (H, W, 3) RGB.
            conditions: One a picture.

        Returns:
            Probability of each picture's condition among all, in [0, 1].
        """
        import torch

        texts = [TEXTS[condition] for condition in CONDITIONS]
        inputs = self._processor(
            text=texts, images=list(pictures), return_tensors='pt', padding=True
        ).to(self._device)
        with torch.inference_mode():
            shares = self._network(**inputs).logits_per_image.softmax(-1)
        wanted = [CONDITIONS.index(condition) for condition in conditions]
        return [float(shares[row, column]) for row, column in enumerate(wanted)]
