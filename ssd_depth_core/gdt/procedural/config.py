"""What the user of the procedural translator may choose."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class ProceduralConfig:
    """Hold what the formulas cannot know.

    Visibilities are the meteorological optical range: the distance at which 5 % of the light
    gets through the air. Each picture draws its own between the two ends, even in the logarithm;
    a strength of 1 has all of it, a lesser one thinner air.
    """

    camera_height_m: float = 1.5
    """Of the lens above the road: turns relative depth into metres."""
    sky_from_m: float = 80.0
    """What lies farther and above the horizon is sky: as far as depth networks are trained."""
    fog_visibility_m: tuple[float, float] = (60.0, 250.0)
    """Least and most."""
    rain_visibility_m: tuple[float, float] = (300.0, 1500.0)
    """Least and most, by day and by night; the spray near the road is denser."""
    snow_visibility_m: tuple[float, float] = (150.0, 900.0)
    """Least and most."""
    lens_drops: int = 6
    """At most, in rain; 0 keeps the lens dry."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: If one is out of its range.
        """
        for name in ('camera_height_m', 'sky_from_m'):
            if not 0 < getattr(self, name) < float('inf'):
                raise ValueError(f'{name} must be > 0 m and finite, got {getattr(self, name)}')
        for name in ('fog_visibility_m', 'rain_visibility_m', 'snow_visibility_m'):
            least, most = getattr(self, name)
            if not 0 < least <= most < float('inf'):
                raise ValueError(
                    f'{name} must be (least, most) with 0 < least <= most, got {(least, most)}'
                )
        if self.lens_drops < 0:
            raise ValueError(f'lens_drops must be >= 0, got {self.lens_drops}; 0 means none')
