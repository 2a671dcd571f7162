"""How pictures of one condition are made."""

from dataclasses import dataclass
from pathlib import Path

from ssd_depth_core.gdt.exposure import ExposureConfig

NEGATIVE_PROMPT = 'cartoon, painting, lowres, blurry, distorted, text, watermark'
"""SSD names none; what a camera on a car never takes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ConditionRecipe:
    """Configure one condition. Every translator reads the fields that mean something to it."""

    phrases: tuple[str, ...] = ()
    """Words for light and weather; each picture draws one. Empty: `TranslateConfig` puts in those
    of `prompts.PHRASES`."""
    negative_prompt: str = NEGATIVE_PROMPT
    """What a diffused picture is led away from."""
    image_prompts: Path | None = None
    """Folder of real photographs of the condition, from which each picture draws one for the
    IP-Adapter; None: text alone leads."""
    image_prompt_scale: float = 0.5
    """How much the photograph counts beside the text, in [0, 1]. SSD's is not known; diffusers
    calls a half the balance of both."""
    strength: float = 1.0
    """Of the procedural translator's weather, in [0, 1]; 0 leaves a frame as it is."""
    exposure: ExposureConfig | None = None
    """Brightness to which a diffused picture is darkened; None: it stays as it is."""

    def __post_init__(self) -> None:
        """Validate.

        Raises:
            ValueError: If a phrase is blank or a number is out of its range.
        """
        if not all(phrase.strip() for phrase in self.phrases):
            raise ValueError(f'phrases must not be blank, got {self.phrases}')
        for name in ('image_prompt_scale', 'strength'):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f'{name} must be in [0, 1], got {getattr(self, name)}')
