"""The translator that computes: a table of conditions and their formulas."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.conditions import Condition
from ssd_depth_core.gdt.condition_recipe import ConditionRecipe
from ssd_depth_core.gdt.procedural.config import ProceduralConfig
from ssd_depth_core.gdt.procedural.fog import fog
from ssd_depth_core.gdt.procedural.linear_light import to_picture
from ssd_depth_core.gdt.procedural.low_sun import low_sun
from ssd_depth_core.gdt.procedural.night import night
from ssd_depth_core.gdt.procedural.night_rain import night_rain
from ssd_depth_core.gdt.procedural.rain import rain
from ssd_depth_core.gdt.procedural.scene import Scene, scene_of
from ssd_depth_core.gdt.procedural.snow import snow
from ssd_depth_core.gdt.translator import Request, Translation

Effect = Callable[[Scene, float, ProceduralConfig, np.random.Generator], NDArray[np.float32]]
EFFECTS: dict[Condition, Effect] = {
    'night': night,
    'day-rain': rain,
    'night-rain': night_rain,
    'fog': fog,
    'snow': snow,
    'low-sun': low_sun,
}
"""How each condition is made; the strength is in (0, 1]."""
NO_ROAD = 'no road is seen that could tell the unit of relative depth; use a metric depth network'


class ProceduralTranslator:
    """Make pictures by formulas of light over depth."""

    name = 'procedural'

    def __init__(
        self, config: ProceduralConfig, conditions: Mapping[Condition, ConditionRecipe]
    ) -> None:
        """Take the strengths.

        Args:
            config: Camera and weather.
            conditions: Of whose recipes only `strength` counts here.

        Raises:
            ValueError: If a condition cannot be made or its strength is not in [0, 1].
        """
        self.models: dict[str, str] = {}
        self._config = config
        self._strengths = {name: recipe.strength for name, recipe in conditions.items()}
        for condition, strength in self._strengths.items():
            if condition not in EFFECTS:
                known = ', '.join(EFFECTS)
                raise ValueError(f'condition must be one of {known}, got {condition!r}')
            if not 0 <= strength <= 1:
                raise ValueError(f'strength of {condition} must be in [0, 1], got {strength}')

    def translate(self, requests: Sequence[Request]) -> list[Translation | str]:
        """Make the pictures of one batch.

        Args:
            requests: Any number, each by itself.

        Returns:
            One picture each; the same one for the same request, whatever stands beside it. In
            place of a picture without a unit of depth stands the reason.

        Raises:
            TypeError: If a picture is not uint8.
            ValueError: If a request has wrong shapes, depth that is negative or not finite, or a
                condition that has no recipe.
        """
        return [self._translate(request) for request in requests]

    def _translate(self, request: Request) -> Translation | str:
        if request.condition not in self._strengths:
            raise ValueError(
                f'condition {request.condition!r} has no recipe; there are '
                f'{", ".join(self._strengths) or "none"}'
            )
        strength = self._strengths[request.condition]
        scene = scene_of(request, self._config)
        if scene is None:
            return NO_ROAD
        picture = request.picture.copy()
        if strength > 0:
            rng = np.random.default_rng(request.seed)
            light = EFFECTS[request.condition](scene, strength, self._config, rng)
            picture = to_picture(light)
        return Translation(picture=picture, prompt=None, image_prompt=None)
