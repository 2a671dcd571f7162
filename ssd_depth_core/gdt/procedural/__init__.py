"""Weather and night by formulas of light instead of diffusion: the pipeline's baseline row."""

from ssd_depth_core.gdt.procedural.config import ProceduralConfig
from ssd_depth_core.gdt.procedural.translator import ProceduralTranslator

__all__ = ['ProceduralConfig', 'ProceduralTranslator']
