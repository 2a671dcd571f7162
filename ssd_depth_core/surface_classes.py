"""What a surface belongs to: the names that rendered class maps are written in."""

from typing import get_args, Literal

SurfaceClass = Literal[
    'road',
    'sidewalk',
    'building',
    'wall',
    'fence',
    'pole',
    'traffic sign',
    'vegetation',
    'terrain',
    'sky',
    'person',
    'rider',
    'vehicle',
    'object',
]
"""Cityscapes' words in its order, but for: 'traffic sign' has the lights in it, 'rider' the
bicycle; 'vehicle' is whatever drives on four wheels or more; 'object' stands in the street and is
none of the others, as a bin or a bench. 'terrain' is grass, there and here."""
SURFACE_CLASSES: tuple[SurfaceClass, ...] = get_args(SurfaceClass)
"""A class map holds places in this list; new ones come last."""
UNKNOWN_CLASS = 255
"""In a class map where nobody said what is shown; Cityscapes' number for what does not count."""
