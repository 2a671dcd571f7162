"""Augmentation: geometry that takes depth and K along, and what cameras do to a picture.

Everything works on uint8 with OpenCV, because one core must feed the network. Rendered pictures
are too clean; without the second part a network learns the renderer instead of the street.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.data.jitter import GREY, hue_turn
from ssd_depth_core.preprocess import resize_image, resize_intrinsics

Image = NDArray[np.uint8]
"""(H, W, 3) RGB."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AugmentConfig:
    """Say how far and how often a training picture is changed; probabilities are an image's."""

    flip: float = 0.5
    """Probability of mirroring left and right."""
    max_zoom: float = 1.4
    """Largest magnification of the random crop; 1 crops nothing."""
    max_stretch: float = 1.1
    """Largest ratio of fy / fx (or its inverse) that the crop adds: real pictures are resized."""
    texture: float = 0.4
    """Probability of a random pattern on all surfaces; see `texture`."""
    tone: float = 0.9
    """Probability of brightness, contrast, gamma and white balance."""
    curve: float = 0.15
    """Probability of a random tone curve, which may turn bright into dark."""
    colour: float = 0.5
    """Probability of a change of saturation and hue."""
    grey: float = 0.05
    """Probability of losing all colour."""
    blur: float = 0.2
    """Probability of defocus or motion blur."""
    resample: float = 0.2
    """Probability of a loss of resolution: down and up again."""
    vignette: float = 0.2
    """Probability of dark corners."""
    noise: float = 0.4
    """Probability of shot and read noise."""
    jpeg: float = 0.3
    """Probability of a second JPEG compression."""
    occlude: float = 0.1
    """Probability of opaque patches; depth behind them is still asked for."""

    def __post_init__(self) -> None:
        """Validate the ranges.

        Raises:
            ValueError: If a probability is outside [0, 1] or a factor below 1.
        """
        for name in (
            'flip',
            'texture',
            'tone',
            'curve',
            'colour',
            'grey',
            'blur',
            'resample',
            'vignette',
            'noise',
            'jpeg',
            'occlude',
        ):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f'{name} must be in [0, 1], got {getattr(self, name)}')
        for name in ('max_zoom', 'max_stretch'):
            if getattr(self, name) < 1:
                raise ValueError(f'{name} must be >= 1, got {getattr(self, name)}')


def flip(
    image: Image, depth: NDArray[np.float32], K: NDArray[np.float64]
) -> tuple[Image, NDArray[np.float32], NDArray[np.float64]]:
    """Mirror left and right.

    Args:
        image: (H, W, 3).
        depth: (H, W) [m].
        K: (3, 3), pixels.

    Returns:
        The three, mirrored; the principal point moves to W - 1 - cx.
    """
    mirrored = K.copy()
    mirrored[0, 2] = image.shape[1] - 1 - K[0, 2]
    return image[:, ::-1], depth[:, ::-1], mirrored


def crop_resize(
    image: Image,
    depth: NDArray[np.float32],
    K: NDArray[np.float64],
    window: tuple[int, int, int, int],
    size: tuple[int, int],
) -> tuple[Image, NDArray[np.float32], NDArray[np.float64]]:
    """Cut a window out and bring it to a size.

    Args:
        image: (H, W, 3).
        depth: (H, W) [m]; taken from the nearest pixel, since a mean of depths lies in the air.
        K: (3, 3), pixels.
        window: top, left, height, width, pixels.
        size: (H, W) of the result.

    Returns:
        The three at the new size; Z is untouched, the focal length grows with the magnification.
    """
    top, left, height, width = window
    shifted = K.copy()
    shifted[0, 2] -= left
    shifted[1, 2] -= top
    rows = slice(top, top + height), slice(left, left + width)
    if (height, width) == size:
        return image[rows], depth[rows], shifted
    resized = resize_image(image[rows], size)
    # The EXACT form samples at pixel centres; plain INTER_NEAREST is off by up to half a pixel.
    nearest = cv2.resize(depth[rows], size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    return resized, nearest, resize_intrinsics(shifted, (height, width), size)


def random_window(
    size: tuple[int, int], config: AugmentConfig, rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """Draw a crop window.

    Args:
        size: (H, W) of the image, pixels.
        config: Gives the largest zoom and stretch.
        rng: Source of randomness.

    Returns:
        top, left, height, width, pixels; always inside the image.
    """
    zoom = rng.uniform(1.0, config.max_zoom)
    stretch = config.max_stretch ** rng.uniform(-0.5, 0.5)
    height = min(size[0], round(size[0] / zoom * stretch))
    width = min(size[1], round(size[1] / zoom / stretch))
    top = int(rng.integers(size[0] - height + 1))
    left = int(rng.integers(size[1] - width + 1))
    return top, left, height, width


def photometric(image: Image, config: AugmentConfig, rng: np.random.Generator) -> Image:
    """Change a picture as optics, sensor and file format might, in that order.

    Args:
        image: (H, W, 3).
        config: How often each.
        rng: Source of randomness.

    Returns:
        Same shape; the input is not written to.
    """
    steps = (
        (config.occlude, _occlude),
        (config.blur, _blur),
        (config.vignette, _vignette),
        (config.tone, _tone),
        (config.curve, _curve),
        (config.colour, _colour),
        (config.grey, _grey),
        (config.noise, _noise),
        (config.resample, _resample),
        (config.jpeg, _jpeg),
    )
    for probability, step in steps:
        if rng.random() < probability:
            image = step(image, rng)
    return image


def gaussian_noise(
    image: Image, rng: np.random.Generator, mean: float = 0.005, std: float = 0.045
) -> Image:
    """Add independent noise to every value, as md4all does to the student's input.

    Args:
        image: (H, W, 3).
        rng: Source of randomness.
        mean: Of the noise, of values in [0, 1].
        std: Of the noise, of values in [0, 1].

    Returns:
        Same shape, clipped.
    """
    noise = rng.standard_normal(image.shape, np.float32)
    noise *= np.float32(255 * std)
    noise += np.float32(255 * mean)
    return np.asarray(cv2.add(image, noise, dtype=cv2.CV_8U), np.uint8)


def _occlude(image: Image, rng: np.random.Generator) -> Image:
    """Cover one to three patches, each up to a third of the picture's sides, with one colour."""
    covered = image.copy()
    height, width = image.shape[:2]
    for _ in range(rng.integers(1, 4)):
        h, w = int(rng.integers(4, height // 3)), int(rng.integers(4, width // 3))
        top, left = int(rng.integers(height - h)), int(rng.integers(width - w))
        covered[top : top + h, left : left + w] = rng.integers(0, 256, 3)
    return covered


def _blur(image: Image, rng: np.random.Generator) -> Image:
    """Blur by defocus, or by motion along a line of 3 to 7 pixels."""
    if rng.random() < 0.5:
        return cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.5))
    length = int(rng.choice((3, 5, 7)))
    angle = rng.uniform(0, 180)
    kernel = np.zeros((length, length), np.float32)
    kernel[length // 2] = 1
    centre = ((length - 1) / 2, (length - 1) / 2)
    kernel = cv2.warpAffine(kernel, cv2.getRotationMatrix2D(centre, angle, 1), (length, length))
    return cv2.filter2D(image, -1, kernel / kernel.sum())


def _vignette(image: Image, rng: np.random.Generator) -> Image:
    """Darken towards the corners, by up to 60 % there."""
    height, width = image.shape[:2]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None]
    fall = 1 - rng.uniform(0.1, 0.6) * 0.5 * (x * x + y * y)
    return cv2.multiply(image, cv2.merge([fall] * 3), dtype=cv2.CV_8U)


def _tone(image: Image, rng: np.random.Generator) -> Image:
    """Apply white balance, gain, gamma, contrast and haze in one table a channel."""
    balance = np.exp(rng.uniform(-0.2, 0.2, 3))
    gain, gamma, contrast = np.exp(rng.uniform(-0.4, 0.4, 3))
    # About the picture's own mean and with little offset: about mid-grey, half of all nights
    # would turn black.
    mean = image.mean() / 255
    level = (np.linspace(0, 1, 256)[:, None] * gain * balance) ** gamma  # (256, 3)
    level = (level - mean) * contrast + mean + rng.uniform(-0.02, 0.08)
    table = np.clip(np.rint(level * 255), 0, 255).astype(np.uint8)
    return cv2.LUT(image, table[None])


def _curve(image: Image, rng: np.random.Generator) -> Image:
    """Bend the tones through five random levels, mixed half and half with the true ones.

    It breaks what holds in every rendered street and not in every real one: that the sky is the
    brightest and tyres the darkest.
    """
    levels = np.arange(256)
    bent = np.interp(levels, np.linspace(0, 255, 5), rng.uniform(0, 255, 5))
    table = np.rint(0.5 * levels + 0.5 * bent).astype(np.uint8)
    return cv2.LUT(image, table)


def _colour(image: Image, rng: np.random.Generator) -> Image:
    """Turn the hue by up to 20 degrees and scale the saturation, about the grey axis."""
    angle = np.radians(rng.uniform(-20, 20))
    saturation = rng.uniform(0.3, 1.5)
    return cv2.transform(image, GREY + saturation * hue_turn(angle))


def _grey(image: Image, rng: np.random.Generator) -> Image:
    """Drop colour."""
    return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


def _noise(image: Image, rng: np.random.Generator) -> Image:
    """Add noise of a constant variance (read) and one that grows with the signal (shot)."""
    read, shot = rng.uniform(0, 8), rng.uniform(0, 1.2)
    deviation = np.sqrt(read**2 + shot**2 * np.arange(256)).astype(np.float32)
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    noise *= deviation[image]
    return cv2.add(image, noise, dtype=cv2.CV_8U)


def _resample(image: Image, rng: np.random.Generator) -> Image:
    """Go down by up to 3 and up again."""
    height, width = image.shape[:2]
    factor = rng.uniform(1.2, 3.0)
    small = cv2.resize(
        image, (round(width / factor), round(height / factor)), interpolation=cv2.INTER_AREA
    )
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def _jpeg(image: Image, rng: np.random.Generator) -> Image:
    """Compress once more, at quality 25 to 85."""
    _, data = cv2.imencode('.jpg', image, (cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 86))))
    return cv2.imdecode(data, cv2.IMREAD_COLOR)
