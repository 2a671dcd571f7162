"""The config of a translation: what each condition is to look like, and who makes it how."""

from dataclasses import dataclass, field, replace
from typing import Literal

from ssd_depth_core.conditions import Condition
from ssd_depth_core.gdt.acceptance import GateConfig
from ssd_depth_core.gdt.captioner import CaptionConfig
from ssd_depth_core.gdt.condition_recipe import ConditionRecipe
from ssd_depth_core.gdt.depth_prior import DepthPriorConfig
from ssd_depth_core.gdt.diffusion_config import DiffusionConfig
from ssd_depth_core.gdt.procedural.config import ProceduralConfig
from ssd_depth_core.gdt.prompts import PHRASES

__all__ = ['ConditionRecipe', 'TranslateConfig']


@dataclass(frozen=True, kw_only=True, slots=True)
class TranslateConfig:
    """Configure a whole translation."""

    conditions: dict[Condition, ConditionRecipe]
    """What clear frames become, and how; a recipe without phrases gets those of `PHRASES`."""
    captioner: CaptionConfig = field(default_factory=CaptionConfig)
    """Says what a frame shows."""
    depth: DepthPriorConfig
    """Of the clear frames: for the control picture, for the formulas and for the gate."""
    translator: Literal['diffusion', 'procedural']
    """Which of the two below makes the pictures."""
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    """Read where it is the translator."""
    procedural: ProceduralConfig = field(default_factory=ProceduralConfig)
    """Read where it is the translator."""
    gate: GateConfig = field(default_factory=GateConfig)
    """Says which pictures to trust."""
    size: tuple[int, int] | None = None
    """(H, W) of the written pictures, pixels; None: each frame's own."""
    variants: int = 1
    """Pictures a frame and condition; they differ in everything random."""
    batch_size: int = 8
    """Frames that are worked on together; part of what a picture's last bits hang on."""
    seed: int = 0
    """What every picture's own seed hangs on."""

    def __post_init__(self) -> None:
        """Put in the phrases that are missing, and validate what no part can see alone.

        Raises:
            ValueError: If there is no condition, one is clear already, a number is out of its
                range, or the parts do not fit each other.
        """
        if not self.conditions:
            raise ValueError(f'conditions must be one or more of {", ".join(PHRASES)}, got none')
        for condition in self.conditions:
            if condition not in PHRASES:
                raise ValueError(
                    f'conditions must be of {", ".join(PHRASES)}, got {condition}; frames are '
                    'clear already'
                )
        for name in ('variants', 'batch_size'):
            if getattr(self, name) < 1:
                raise ValueError(f'{name} must be >= 1, got {getattr(self, name)}')
        if self.seed < 0:
            raise ValueError(f'seed must be >= 0, got {self.seed}')
        if self.size is not None and min(self.size) < 1:
            raise ValueError(f'size must be (H, W) of 1 px and more, or null, got {self.size}')
        if self.translator == 'procedural' and self.captioner.kind == 'blip2':
            raise ValueError(
                'captioner blip2 would load gigabytes for words that formulas do not read; set '
                'captioner.kind to none, or to text'
            )
        shown = [name for name, recipe in self.conditions.items() if recipe.image_prompts]
        if self.translator == 'diffusion' and shown and self.diffusion.ip_adapter is None:
            raise ValueError(
                f'image_prompts of {", ".join(shown)} need an IP-Adapter; name one in '
                'diffusion.ip_adapter, or set image_prompts to null'
            )
        filled = {
            name: recipe if recipe.phrases else replace(recipe, phrases=PHRASES[name])
            for name, recipe in self.conditions.items()
        }
        object.__setattr__(self, 'conditions', filled)
