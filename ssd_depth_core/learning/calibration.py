"""Making a confidence mean what it says, by one factor measured on held-out frames.

A student learns how far it is from its teacher, who is not the truth; and it learns it on frames
that it has seen.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ssd_depth_core.data.index import read_header, read_lines
from ssd_depth_core.data.triplets import TripletConfig
from ssd_depth_core.learning.checkpoint import load_checkpoint, save_checkpoint
from ssd_depth_core.learning.validation_sets import validation_sets
from ssd_depth_core.losses.supervised import canonical_log_depth, log_depth_residual
from ssd_depth_core.models.depth_net import DepthNet
import torch
from torch.utils.data import DataLoader, Dataset


@torch.inference_mode()
def laplace_scale_factor(
    network: DepthNet,
    by_condition: Mapping[str, Dataset[dict[str, torch.Tensor]]],
    batch_size: int = 16,
) -> float:
    """Measure by what factor predicted scales are too small.

    For residuals r of log depth, Laplace with scales s b, the likelihood is greatest at

        s = mean(|r| / b)

    the mean over the known pixels of an image, then over images, then over conditions, so that
    each condition counts alike. Sky does not count: a network that finds it is never wrong there,
    which would make it surer of all else.

    Args:
        network: In evaluation mode, with a confidence.
        by_condition: Datasets of `image`, `depth` (NaN unknown, inf beyond) and `K`, at the
            network's input size.
        batch_size: Images a call.

    Returns:
        s; above 1 the network is too sure.

    Raises:
        ValueError: If it has no confidence, or a condition has no image with known depth.
    """
    config = network.config
    if not config.confidence:
        raise ValueError('the network must have a confidence to calibrate, and it has none')
    device = next(network.parameters()).device
    factors = []
    for condition, dataset in by_condition.items():
        ratios: list[float] = []
        for batch in DataLoader(dataset, batch_size=batch_size):
            output = network(batch['image'].to(device))
            truth = canonical_log_depth(batch['depth'], batch['K'], config.canonical_focal_px)
            said = -torch.log(output.inverse_depth).cpu()
            residual = log_depth_residual(said, truth, config.max_depth_m).abs()
            assert output.log_scale is not None  # the config has a confidence
            ratio = residual * torch.exp(-output.log_scale.cpu())
            ratio = torch.where(torch.isfinite(truth), ratio, torch.nan)
            means = ratio.flatten(1).nanmean(1)
            ratios += means[~means.isnan()].tolist()
        if not ratios:
            raise ValueError(f'no image of {condition} has known depth; take other frames')
        factors.append(sum(ratios) / len(ratios))
    return sum(factors) / len(factors)


def calibrate_checkpoint(
    checkpoint: Path, index: Path, out: Path, *, num_frames: int, device: str
) -> float:
    """Write a checkpoint again whose confidence fits the errors on an index's validation split.

    Args:
        checkpoint: Of a network with a confidence.
        index: Folder that `training.index_data` wrote.
        out: `.safetensors`; its folder is made where missing.
        num_frames: Of each condition, spread evenly.
        device: Where to compute.

    Returns:
        The factor found; depth is as it was.

    Raises:
        FileNotFoundError: If the checkpoint or the index is missing.
        ValueError: If the network has no confidence, or there is no frame to measure it on.
        OSError: If the new one cannot be written.
    """
    network, info = load_checkpoint(checkpoint)
    header, lines = read_header(index), read_lines(index, 'validation')
    sets = validation_sets(header, lines, network.config, TripletConfig(), num_frames)
    factor = laplace_scale_factor(network.to(device), sets)
    model = replace(
        network.config, confidence_scale=round(factor * network.config.confidence_scale, 4)
    )
    note = f'{info.training_data}; scale of its confidence times {factor:.4f}, measured on {index}'
    out.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(out, network, replace(info, model=model, training_data=note))
    return factor
