"""Depth by a pretrained network of transformers: MiDaS's DPT, Depth Anything, ZoeDepth."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.checks import check_image
from ssd_depth_core.gdt.depth_estimator import EstimatedDepth
from ssd_depth_core.gdt.patches import estimate_in_patches, fuse_aligned, Fusion, Tiling

MIN_DEPTH_M = 0.1
"""Metric depth below is taken for this: its inverse would swallow the range of all the rest."""

UNUSED_KEYS = 'fusion_stage.layers.0.residual_layer1.'
"""The first fusion layer has no second input. transformers makes weights for it all the same, and
MiDaS's files rightly lack them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DepthPriorConfig:
    """Configure where the depth of the clear frames comes from."""

    kind: Literal['transformers', 'onnx', 'exact'] = 'transformers'
    """`onnx`: a network exported by this project; `exact`: what a rendered set holds."""
    model: str | None = None
    """Hub id, or folder written by `save_pretrained`, of a `transformers` network; path of an
    `onnx` file, None: the shipped student; None for `exact`."""
    tiling: Tiling | None = None
    """How pictures are cut for high-resolution depth, `p49` being the paper's; None: not at all.
    49 patches cost 50 times the network's time."""
    process_size: tuple[int, int] | None = None
    """(H, W) of the network's input, pixels, as its preprocessing understands it: networks that
    keep the aspect ratio take it for a bound. None: the network's own."""
    dtype: Literal['float32', 'float16', 'bfloat16'] = 'float16'
    """The network's precision on a GPU; a CPU always computes in float32."""
    batch_size: int = 8
    """Pictures or patches in one pass of the network."""

    def __post_init__(self) -> None:
        """Validate what the types cannot say.

        Raises:
            ValueError: If a value is out of its range, or the kind lacks or does not take it.
        """
        if self.kind == 'transformers' and self.model is None:
            raise ValueError(
                'model must be a hub id or a folder where kind is transformers, got null; '
                'e.g. depth-anything/Depth-Anything-V2-Small-hf'
            )
        if self.kind == 'exact' and not self.model is self.tiling is self.process_size is None:
            raise ValueError(
                'exact depth takes no model, tiling or process_size, got '
                f'{self.model}, {self.tiling} and {self.process_size}; set them to null'
            )
        if self.process_size is not None and min(self.process_size) < 1:
            raise ValueError(f'process_size must be positive, got {self.process_size}')
        if self.batch_size < 1:
            raise ValueError(f'batch_size must be at least 1, got {self.batch_size}')


class TransformersDepth:
    """Estimate depth with a network of transformers; a `DepthEstimator`.

    Metric networks take pictures for those of the camera that they were trained on, as they know
    no intrinsics.

    Args:
        config: Of kind `transformers`.
        device: Where the network runs, e.g. `cpu` or `cuda:0`.
        fuse: How patches are joined where the config asks for them.

    Raises:
        FileNotFoundError: If the model, or a part of it, is not on this machine.
        ValueError: If the model is no network of one of the known kinds, its file lacks weights,
            or it cannot take `process_size`.
    """

    def __init__(self, config: DepthPriorConfig, device: str, fuse: Fusion = fuse_aligned) -> None:
        # Here, so that recipes are read without waiting for torch and transformers.
        from ssd_depth_core.models.torchvision_cpu import allow_cpu_torchvision
        import torch

        allow_cpu_torchvision()
        from transformers import AutoImageProcessor, AutoModelForDepthEstimation

        assert config.kind == 'transformers'
        assert config.model is not None
        self.models = {'depth': config.model}
        self._config = config
        self._fuse = fuse
        self._device = torch.device(device)
        on_cpu = self._device.type == 'cpu'
        self._dtype = torch.float32 if on_cpu else getattr(torch, config.dtype)
        try:
            # Never from the hub: workers of one run would all fetch the same gigabytes, and
            # without a connection each file costs minutes of retries.
            self._processor = AutoImageProcessor.from_pretrained(
                config.model, local_files_only=True
            )
            network, loading = AutoModelForDepthEstimation.from_pretrained(
                config.model, local_files_only=True, output_loading_info=True, dtype=self._dtype
            )
        except OSError as error:
            raise FileNotFoundError(
                f'depth network {config.model} is not on this machine, or not whole: '
                f'{str(error).splitlines()[0]} Fetch it with `hf download {config.model}`, or '
                'name a folder written by save_pretrained'
            ) from None
        missing = sorted(key for key in loading['missing_keys'] if UNUSED_KEYS not in key)
        if missing:
            raise ValueError(
                f'depth network {config.model} lacks the weights {", ".join(missing[:3])} and '
                f'{max(len(missing) - 3, 0)} more; it was saved from another architecture'
            )
        self._output = _output_of(network.config, config.model)
        self._network = network.to(self._device).eval()

    def estimate(
        self, pictures: Sequence[NDArray[np.uint8]], K: Sequence[NDArray[np.float64]]
    ) -> list[EstimatedDepth]:
        """Estimate.

        Args:
            pictures: (H, W, 3) RGB, all of one size.
            K: (3, 3) each, pixels; not used by these networks.

        Returns:
            One a picture; the same, but for rounding, whatever the others are.

        Raises:
            ValueError: If the pictures differ in size, or the network gives values that are not
                finite.
        """
        for picture in pictures:
            check_image(picture)
        sizes = {picture.shape[:2] for picture in pictures}
        if len(sizes) > 1:
            raise ValueError(f'pictures must be of one size, got {sorted(sizes)}')
        if self._config.tiling is None:
            return self._estimate(pictures, K)
        return estimate_in_patches(self._estimate, pictures, K, self._config.tiling, self._fuse)

    def _estimate(
        self, pictures: Sequence[NDArray[np.uint8]], K: Sequence[NDArray[np.float64]]
    ) -> list[EstimatedDepth]:
        step = self._config.batch_size
        return [
            estimated
            for start in range(0, len(pictures), step)
            for estimated in self._infer(pictures[start : start + step])
        ]

    def _infer(self, pictures: Sequence[NDArray[np.uint8]]) -> list[EstimatedDepth]:
        import torch

        size = pictures[0].shape[:2]
        height_width = self._config.process_size
        resize = (
            {}
            if height_width is None
            else {'size': {'height': height_width[0], 'width': height_width[1]}}
        )
        inputs = self._processor(
            list(pictures), input_data_format='channels_last', return_tensors='pt', **resize
        )
        with torch.inference_mode():
            outputs = self._network(inputs['pixel_values'].to(self._device, self._dtype))
            outputs.predicted_depth = outputs.predicted_depth.float()
            # The second argument undoes ZoeDepth's padding, and is the target size of the others.
            maps = self._processor.post_process_depth_estimation(outputs, [size] * len(pictures))
        estimates = []
        for entry in maps:
            values = entry['predicted_depth'].cpu().numpy()
            if not np.isfinite(values).all():
                raise ValueError(
                    f'depth network {self._config.model} gave {np.sum(~np.isfinite(values))} '
                    f'values that are not finite, in {self._dtype}; set depth.dtype to float32'
                )
            metric = self._output == 'depth'
            # Resizing overshoots beside edges, so values may be negative.
            inverse_depth = 1 / values.clip(min=MIN_DEPTH_M) if metric else values.clip(min=0)
            estimates.append(EstimatedDepth(inverse_depth, metric=metric))
        return estimates


def _output_of(config: Any, model: str) -> Literal['depth', 'inverse_depth']:
    """Tell from a network's config what its output is.

    Args:
        config: transformers' config of the network.
        model: Its name, for the message.

    Returns:
        `depth` [m], or `inverse_depth` up to a scale and a shift.

    Raises:
        ValueError: If the config does not say.
    """
    match config.model_type:
        case 'depth_anything':
            metric = config.depth_estimation_type == 'metric'
            return 'depth' if metric else 'inverse_depth'
        case 'zoedepth':
            return 'depth'
        # MiDaS. DINOv2's depth heads, which give metres, come as DPT too, with a projection.
        case 'dpt' if not config.add_projection:
            return 'inverse_depth'
    raise ValueError(
        f'depth network {model} is a {config.model_type} whose output is not known to be depth or '
        'inverse depth; take one of MiDaS (dpt), Depth Anything or ZoeDepth'
    )
