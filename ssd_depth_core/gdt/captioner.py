"""Says what a frame shows, so that its translation shows the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.checks import check_image
from ssd_depth_core.gdt.fitting_batches import FittingBatches
from ssd_depth_core.gdt.local_models import loading, require_whole
from ssd_depth_core.gdt.precision import dtype_of, Precision


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionConfig:
    """Configure who says it. SSD names BLIP-2; the numbers are choices."""

    kind: Literal['blip2', 'text', 'none'] = 'blip2'
    """`text`: the same for every frame; `none`: nobody says anything."""
    model: str = 'Salesforce/blip2-opt-2.7b'
    """Hub id, which must be in the local cache, or folder written by `save_pretrained`."""
    text: str | None = None
    """What `text` says."""
    num_beams: int = 5
    """Of the search for the likeliest words."""
    max_new_tokens: int = 30
    """Length, in the language model's tokens. With a phrase before them they fit into the 77 that
    Stable Diffusion reads."""
    batch_size: int = 8
    """Pictures in one pass of the network; halved where they do not fit into the GPU's memory."""
    dtype: Precision = 'auto'
    """`auto`: float16 on a GPU, float32 on a CPU."""

    def __post_init__(self) -> None:
        """Validate.

        Raises:
            ValueError: If a number is not positive, or the text is missing where it is asked for
                or given where it is not.
        """
        for name in ('num_beams', 'max_new_tokens', 'batch_size'):
            if getattr(self, name) < 1:
                raise ValueError(f'{name} must be >= 1, got {getattr(self, name)}')
        if (self.kind == 'text') != bool(self.text and self.text.strip()):
            raise ValueError(
                f'text must be given where kind is text, and only there; got kind {self.kind} and '
                f'text {self.text!r}'
            )


class Captioner(Protocol):
    """Describe pictures."""

    models: dict[str, str]
    """Hub id or folder of each network in it, by its part, for the manifest."""

    def caption(self, pictures: Sequence[NDArray[np.uint8]]) -> list[str | None]:
        """Describe.

        `pictures` are (H, W, 3) RGB. One line each; None where there is nothing to say.
        """
        ...


def make_captioner(config: CaptionConfig, device: str) -> Captioner:
    """Make the captioner of a config.

    Args:
        config: Of any kind.
        device: Where a network runs, e.g. `cpu` or `cuda:0`.

    Returns:
        The captioner, its network loaded.

    Raises:
        FileNotFoundError: If the network, or a part of it, is not on this machine.
        ValueError: If its files hold another one.
    """
    if config.kind == 'blip2':
        return Blip2Captioner(config, device)
    return FixedCaptioner(config.text)


class FixedCaptioner:
    """Say the same, or nothing, of every picture; a `Captioner`."""

    def __init__(self, text: str | None) -> None:
        """Take the words.

        Args:
            text: What to say; None: nothing.
        """
        self.models: dict[str, str] = {}
        self._text = text

    def caption(self, pictures: Sequence[NDArray[np.uint8]]) -> list[str | None]:
        """Say it.

        Args:
            pictures: Any.

        Returns:
            One a picture.
        """
        return [self._text] * len(pictures)


class Blip2Captioner:
    """Describe pictures with BLIP-2; a `Captioner`.

    A beam search without chance: the same batch gives the same words. What stands beside a picture
    changes its likelihoods by rounding only, but where two words are equally likely within that,
    the search may take the other one. So it is where a batch does not fit into the GPU's memory,
    and batches are halved from then on.

    Reference: Li et al., BLIP-2, 2023, arXiv 2301.12597.
    """

    def __init__(self, config: CaptionConfig, device: str) -> None:
        """Load the network.

        Args:
            config: Of kind `blip2`.
            device: Where it runs, e.g. `cpu` or `cuda:0`.

        Raises:
            FileNotFoundError: If the network, or a part of it, is not on this machine.
            ValueError: If its files hold another one.
        """
        # Here, so that recipes are read without waiting for torch and transformers.
        from ssd_depth_core.models.torchvision_cpu import allow_cpu_torchvision
        import torch

        allow_cpu_torchvision()
        from transformers import AutoConfig, Blip2ForConditionalGeneration, Blip2Processor

        self.models = {'captioner': config.model}
        self._config = config
        self._batches = FittingBatches(
            f'captioner {config.model}',
            config.batch_size,
            'captioner.batch_size',
            'Lower captioner.num_beams, or set captioner.dtype to float16',
        )
        self._device = torch.device(device)
        self._dtype = dtype_of(config.dtype, device)
        # Never from the hub: workers of one run would all fetch the same gigabytes, and without a
        # connection each file costs minutes of retries. Never pickles: they can run code.
        local: dict[str, Any] = {'local_files_only': True}
        with loading('captioner', config.model):
            kind = AutoConfig.from_pretrained(config.model, **local).model_type
        if kind != 'blip-2':  # which would then be built at full size and at random
            raise ValueError(
                f'captioner {config.model} must be a BLIP-2, got {kind}; '
                'e.g. Salesforce/blip2-opt-2.7b'
            )
        with loading('captioner', config.model):
            self._processor = Blip2Processor.from_pretrained(config.model, **local)
            loaded: Any = Blip2ForConditionalGeneration.from_pretrained(
                config.model,
                use_safetensors=True,
                output_loading_info=True,
                dtype=self._dtype,
                **local,
            )
        network, report = loaded
        require_whole('captioner', config.model, report['missing_keys'])
        self._network = network.to(self._device).eval()

    def caption(self, pictures: Sequence[NDArray[np.uint8]]) -> list[str | None]:
        """Describe.

        Args:
            pictures: (H, W, 3) RGB, of any sizes.

        Returns:
            One line a picture; None where the network ends before its first word.

        Raises:
            TypeError: If a picture is not uint8.
            ValueError: If it has another shape.
            MemoryError: If not even one picture fits into the GPU's memory.
        """
        for picture in pictures:
            check_image(picture)
        return self._batches.run(pictures, self._caption)

    def _caption(self, pictures: Sequence[NDArray[np.uint8]]) -> list[str | None]:
        inputs = self._processor(images=list(pictures), return_tensors='pt')
        tokens = self._network.generate(
            pixel_values=inputs['pixel_values'].to(self._device, self._dtype),
            num_beams=self._config.num_beams,
            max_new_tokens=self._config.max_new_tokens,
            do_sample=False,
        )
        texts = self._processor.batch_decode(tokens, skip_special_tokens=True)
        # On one line: OPT ends a caption with a line break.
        return [' '.join(text.split()) or None for text in texts]
