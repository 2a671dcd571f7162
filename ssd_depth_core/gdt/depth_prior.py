"""Depth by a pretrained network of transformers: MiDaS's DPT, Depth Anything, ZoeDepth."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.checks import check_image
from ssd_depth_core.gdt.depth_estimator import EstimatedDepth
from ssd_depth_core.gdt.fitting_batches import FittingBatches
from ssd_depth_core.gdt.local_models import loading, require_whole
from ssd_depth_core.gdt.patches import Tiling
from ssd_depth_core.gdt.precision import dtype_of, Precision

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
    dtype: Precision = 'auto'
    """`auto`: float16 on a GPU, float32 on a CPU."""
    batch_size: int = 8
    """Pictures or patches in one pass of the network; halved where they do not fit into the GPU's
    memory."""

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

    Where pictures do not fit into the GPU's memory, batches are halved from then on, whose last
    bits may differ. The networks that give metres know no intrinsics: they take every picture for
    one of the camera that they were trained on.
    """

    def __init__(self, config: DepthPriorConfig, device: str) -> None:
        """Load the network.

        Args:
            config: Of kind `transformers`. Its `tiling` is for `estimate_in_patches`, which this
                network can be given to.
            device: Where it runs, e.g. `cpu` or `cuda:0`.

        Raises:
            FileNotFoundError: If the model, or a part of it, is not on this machine.
            ValueError: If the model is none of the known kinds, its file lacks weights, or it
                cannot take `process_size`.
        """
        # Here, so that recipes are read without waiting for torch and transformers.
        from ssd_depth_core.models.torchvision_cpu import allow_cpu_torchvision
        import torch

        allow_cpu_torchvision()
        from transformers import AutoConfig, AutoImageProcessor, AutoModelForDepthEstimation

        assert config.kind == 'transformers'
        assert config.model is not None
        self.models = {'depth': config.model}
        self._config = config
        self._batches = FittingBatches(
            f'depth network {config.model}',
            config.batch_size,
            'depth.batch_size',
            'Make depth.process_size smaller',
        )
        self._device = torch.device(device)
        self._dtype = dtype_of(config.dtype, device)
        # Never from the hub: workers of one run would all fetch the same gigabytes, and without a
        # connection each file costs minutes of retries. Never pickles: they can run code.
        local: dict[str, Any] = {'local_files_only': True}
        with loading('depth network', config.model):
            architecture = AutoConfig.from_pretrained(config.model, **local)
        self._metric = _is_metric(architecture, config.model)
        _check_process_size(architecture, config)
        with loading('depth network', config.model):
            self._processor = AutoImageProcessor.from_pretrained(config.model, **local)
            network, report = AutoModelForDepthEstimation.from_pretrained(
                config.model,
                use_safetensors=True,
                output_loading_info=True,
                dtype=self._dtype,
                **local,
            )
        missing = [key for key in report['missing_keys'] if UNUSED_KEYS not in key]
        require_whole('depth network', config.model, missing)
        self._network = network.to(self._device).eval()

    def estimate(
        self, pictures: Sequence[NDArray[np.uint8]], K: Sequence[NDArray[np.float64]]
    ) -> list[EstimatedDepth]:
        """Estimate.

        Args:
            pictures: (H, W, 3) RGB, all of one size.
            K: (3, 3) each, pixels; not used by these networks.

        Returns:
            One a picture; the same, but for rounding, whatever the others are. NaN where the
            network's answer is not finite.

        Raises:
            ValueError: If the pictures differ in size.
            MemoryError: If not even one picture fits into the GPU's memory.
        """
        for picture in pictures:
            check_image(picture)
        sizes = {picture.shape[:2] for picture in pictures}
        if len(sizes) > 1:
            raise ValueError(f'pictures must be of one size, got {sorted(sizes)}')
        return self._batches.run(pictures, self._infer)

    def _infer(self, pictures: Sequence[NDArray[np.uint8]]) -> list[EstimatedDepth]:
        import torch

        resize = {}
        if self._config.process_size is not None:
            resize['size'] = dict(zip(('height', 'width'), self._config.process_size, strict=True))
        inputs = self._processor(
            list(pictures), input_data_format='channels_last', return_tensors='pt', **resize
        )
        with torch.inference_mode():
            outputs = self._network(inputs['pixel_values'].to(self._device, self._dtype))
            outputs.predicted_depth = outputs.predicted_depth.float()
            # By place, as ZoeDepth's processor calls it another name: the pictures' sizes.
            maps = self._processor.post_process_depth_estimation(
                outputs, [picture.shape[:2] for picture in pictures]
            )
        return [
            _estimate_of(entry['predicted_depth'].cpu().numpy(), self._metric) for entry in maps
        ]


def _estimate_of(output: NDArray[np.float32], metric: bool) -> EstimatedDepth:
    """Give the inverse depth of a network's output, NaN where that is not finite."""
    # Resized maps overshoot beside edges, to negative values too.
    inverse = np.reciprocal(output.clip(min=MIN_DEPTH_M)) if metric else output.clip(min=0)
    # A negative infinity would pass for far, and a metric one too.
    return EstimatedDepth(np.where(np.isfinite(output), inverse, np.float32(np.nan)), metric)


def _is_metric(architecture: Any, model: str) -> bool:
    """Tell from a network's config whether it gives depth [m], or else relative inverse depth."""
    match architecture.model_type:
        case 'depth_anything':
            return bool(architecture.depth_estimation_type == 'metric')
        case 'zoedepth':
            return True
        # MiDaS. DINOv2's heads, trained for metres, come as DPT too, but with a projection.
        case 'dpt' if not architecture.add_projection:
            return False
    raise ValueError(
        f'depth network {model} is a {architecture.model_type} of which it is not known whether '
        'it gives depth or inverse depth; take MiDaS (dpt), Depth Anything or ZoeDepth'
    )


def _check_process_size(architecture: Any, config: DepthPriorConfig) -> None:
    """Require a square where transformers' DPT takes its tokens for those of one."""
    if config.process_size is None or architecture.model_type != 'dpt':
        return
    height, width = config.process_size
    if height != width and (architecture.backbone_config is None or architecture.is_hybrid):
        raise ValueError(
            f'process_size of depth network {config.model} must be square, got '
            f'{height}x{width}; set depth.process_size to null'
        )
