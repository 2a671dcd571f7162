"""Several trainings of one network as one: the mean of their weights.

Fine-tuned weights lie in one valley with those that they began from, and between the two a network
keeps what the first ones knew of other pictures (Wortsman et al. 2022, arXiv 2109.01903), as the
mean of several trainings from one start does (arXiv 2203.05482). It costs a robot nothing.
"""

from collections.abc import Sequence
from pathlib import Path

from ssd_depth_core.data.rendered import evaluation_sets, read_frames
from ssd_depth_core.learning.checkpoint import CheckpointInfo, load_checkpoint, save_checkpoint
from ssd_depth_core.learning.evaluation import evaluate
from ssd_depth_core.learning.training import predictor_of, require_same_architecture
import torch


@torch.no_grad()
def average_checkpoints(
    checkpoints: Sequence[Path], validation: Sequence[Path], out: Path, *, command: str
) -> CheckpointInfo:
    """Average weights, and measure what comes of it.

    Statistics of batch norms are averaged as well.

    Args:
        checkpoints: Two or more, of one architecture.
        validation: Rendered sets whose validation frames are measured in every condition.
        out: `.safetensors`; its folder is made where missing.
        command: Written into the checkpoint: what made it.

    Returns:
        How the new weights were made, and what they score.

    Raises:
        FileNotFoundError: If a checkpoint or a set is missing.
        ValueError: If there are fewer than two, one is damaged, or their architectures differ.
        OSError: If the new one cannot be written.
    """
    if len(checkpoints) < 2:
        raise ValueError(f'checkpoints must be two or more to average, got {len(checkpoints)}')
    frames = read_frames(list(validation), 'validation')
    network, first = load_checkpoint(checkpoints[0])
    infos, means = [first], network.state_dict()
    for number, path in enumerate(checkpoints[1:], 2):
        other, info = load_checkpoint(path)
        require_same_architecture(info.model, first.model, f'checkpoint {path}')
        for mean, value in zip(means.values(), other.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, 1 / number)
        infos.append(info)
    model = network.config
    metrics = evaluate(
        predictor_of(network),
        evaluation_sets(frames, (model.input_height, model.input_width), model.mean, model.std),
        canonical_focal_px=model.canonical_focal_px,
        max_depth_m=model.max_depth_m,
    )
    result = CheckpointInfo(
        model=first.model,
        step=max(info.step for info in infos),
        training_command='; '.join([*(info.training_command for info in infos), command]),
        training_config=infos[-1].training_config,
        training_commit=infos[-1].training_commit,
        training_data='; '.join(dict.fromkeys(info.training_data for info in infos)),
        metrics=metrics,
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(out, network, result)
    return result
