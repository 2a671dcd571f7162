"""Training a student: its config, the networks that it begins with and learns from, its data."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from ssd_depth_core.config import to_dict
from ssd_depth_core.data.appearances import TranslatedPictures
from ssd_depth_core.data.index import IndexHeader, read_header, read_lines
from ssd_depth_core.data.manifest import NAME as MANIFEST
from ssd_depth_core.data.manifest import read_manifest
from ssd_depth_core.data.sources import open_source
from ssd_depth_core.data.translated import TranslatedConfig, TranslatedDataset
from ssd_depth_core.data.triplets import check_left_alone, TripletConfig
from ssd_depth_core.learning.checkpoint import load_pose_net
from ssd_depth_core.learning.distillation import (
    DistillationLossConfig,
    DistillationTask,
    Teacher,
)
from ssd_depth_core.learning.given_networks import read_metric_network, view_of
from ssd_depth_core.learning.loop import LoopConfig
from ssd_depth_core.learning.run_folder import checkpoint_of, RunFolder
from ssd_depth_core.learning.training import (
    initial_network,
    require_same_architecture,
    run_training,
)
from ssd_depth_core.learning.validation_sets import describe_index, validation_sets
from ssd_depth_core.models.depth_net import DepthNet, DepthNetConfig
from ssd_depth_core.models.factory import build_depth_net
import torch
from torch import nn


@dataclass(frozen=True, kw_only=True, slots=True)
class StudentConfig:
    """Hold everything that one student's training needs but its folders."""

    seed: int = 0
    """Of initial weights, order of samples and augmentation."""
    model: DepthNetConfig = field(default_factory=DepthNetConfig)
    """The student's network."""
    initial: Literal['teacher', 'config'] = 'teacher'
    """What it begins with: the teacher's weights, which needs the teacher's architecture (a
    confidence may come on top), or those that `model.encoder_weights` names."""
    data: TranslatedConfig = field(default_factory=TranslatedConfig)
    """Which appearances, size of the losses and augmentation. What networks see, whether
    neighbours are read, and truth follow from `model`, the teacher and `loss`."""
    weight_by: str | None = None
    """Score of the gate, e.g. `trust`, that weighs what is learnt of a translated picture's depth;
    None: all weigh 1."""
    only_accepted: bool = True
    """Whether pictures that the gate rejects are left out."""
    num_validation_frames: int = 100
    """Validation frames of each condition measured at each validation, spread evenly."""
    loss: DistillationLossConfig = field(default_factory=DistillationLossConfig)
    """The objective."""
    loop: LoopConfig
    """Budget and optimizer."""

    def __post_init__(self) -> None:
        """Validate what concerns several parts.

        Raises:
            ValueError: If the network predicts a confidence that nothing trains or the other way
                round, depth has no unit, or `data` gives what follows from other parts.
        """
        if self.model.confidence != (self.loss.confidence_weight > 0):
            raise ValueError(
                'model.confidence must be true where loss.confidence_weight is > 0, and only '
                f'there, got {self.model.confidence} and {self.loss.confidence_weight}'
            )
        if self.model.output == 'relu':
            raise ValueError('model.output must be metric, got relu: inverse depth without unit')
        check_left_alone(
            self.data.triplets,
            TripletConfig(),
            ('input_size', 'mean', 'std', 'neighbours', 'depth'),
            'data.triplets',
            'it follows from model and loss',
        )


def train_student(
    config: StudentConfig,
    index: Path,
    translated: Path,
    out: Path,
    *,
    teacher: Path | None,
    command: str,
    resume: bool = False,
    cpu: bool = False,
) -> RunFolder:
    """Train a student on clear frames and their translations.

    Args:
        config: What to do.
        index: Folder that `training.index_data` wrote.
        translated: Folder that `training.translate` wrote, of the same index.
        out: Run folder.
        teacher: Its run folder; or a checkpoint, which has no pose network. None where the config
            asks nothing of a teacher.
        command: Written into the checkpoint: what made it.
        resume: Whether to go on in `out`.
        cpu: Whether to stay on the CPU even where there is a GPU.

    Returns:
        The run folder.

    Raises:
        FileExistsError: If `out` holds a run and `resume` is not asked for.
        FileNotFoundError: If the index, the data set, the manifest, the teacher or the state to
            resume is missing.
        ValueError: If one of these is damaged or does not fit the others or the config.
        FloatingPointError: If the loss stops being finite.
    """
    model, loss = config.model, config.loss
    if teacher is None and loss.target == 'teacher':
        raise ValueError(
            'loss.target: teacher needs --teacher; give its run folder, or set loss.target to '
            'truth'
        )
    header, manifest = read_header(index), read_manifest(translated)
    taught_by = None if teacher is None else _read_teacher(teacher, loss)
    pictures = TranslatedPictures(
        translated,
        manifest,
        config.data.triplets.resize,
        config.weight_by,
        config.only_accepted,
    )
    dataset = _dataset(config, header, index, pictures, taught_by)
    validation = validation_sets(
        header,
        read_lines(index, 'validation'),
        model,
        dataset.config,
        config.num_validation_frames,
    )

    torch.manual_seed(config.seed)
    network = _initial_student(config, taught_by, resume)
    task = DistillationTask(network, loss, taught_by, _semantic_encoder(config, taught_by))
    inputs = {'index': index / 'train.jsonl', 'translated': translated / MANIFEST}
    if teacher is not None:
        inputs['teacher'] = checkpoint_of(teacher)
    makers = sorted({line.translator for line in manifest})
    source = 'truth' if loss.target == 'truth' else f'teacher {teacher}'
    return run_training(
        task,
        dataset,
        validation,
        config.loop,
        to_dict(config),
        inputs,
        out,
        seed=config.seed,
        command=command,
        data=(
            f'{describe_index(header, index, dataset.lines)}; translated to '
            f'{", ".join(config.data.conditions)} ({", ".join(makers)}); depth of {source}'
        ),
        resume=resume,
        cpu=cpu,
    )


def _dataset(
    config: StudentConfig,
    header: IndexHeader,
    index: Path,
    pictures: TranslatedPictures,
    taught_by: Teacher | None,
) -> TranslatedDataset:
    """Open the clear training frames, with all that the objective asks of them."""
    model, loss = config.model, config.loss
    lines = read_lines(index, 'train')
    clear = [line for line in lines if line.condition == 'day-clear']
    if not clear:
        raise ValueError(
            f'none of {len(lines)} training frames of {index} is day-clear, and the teacher looks '
            'at clear frames alone; index clear scenes'
        )
    masked = loss.mask_rule != 'off'
    truth: Literal['exact', 'lidar'] = 'exact' if all(x.exact_depth for x in clear) else 'lidar'
    triplets = replace(
        config.data.triplets,
        input_size=(model.input_height, model.input_width),
        mean=model.mean,
        std=model.std,
        neighbours=masked,
        depth=truth if loss.target == 'truth' else 'none',
    )
    dataset = TranslatedDataset(
        clear,
        open_source(header),
        pictures,
        replace(config.data, triplets=triplets),
        Path(header.root),
        teacher=None if taught_by is None else view_of(taught_by.network.config),
        segments=masked and loss.reliability == 'segment',
    )
    if masked and not dataset.has_poses and _asks_poses(loss, taught_by):
        raise ValueError(
            f'the mask asks for the poses of frames in {index}, and they have none; set '
            'loss.mask_rule to off, or index a data set with poses'
        )
    return dataset


def _read_teacher(path: Path, loss: DistillationLossConfig) -> Teacher:
    """Load the networks that the objective asks."""
    network, info = read_metric_network(path, 'teacher')
    if loss.mask_rule == 'off' or loss.motion == 'poses':
        return Teacher(network)
    pose_net = RunFolder(path).pose_net  # below a checkpoint there is none
    if not pose_net.exists():
        raise ValueError(
            f'teacher {path} has no pose network for loss.mask_rule {loss.mask_rule}; give the '
            'run folder of training.train_teacher, or set loss.motion to poses'
        )
    how = info.training_config.get('loss', {})
    return Teacher(
        network,
        load_pose_net(pose_net),
        knows_rotation=how.get('rotation') == 'poses',
        knows_distance=how.get('distance') == 'odometer',
    )


def _asks_poses(loss: DistillationLossConfig, teacher: Teacher | None) -> bool:
    known = teacher is not None and (teacher.knows_rotation or teacher.knows_distance)
    return loss.motion == 'poses' or known


def _initial_student(config: StudentConfig, teacher: Teacher | None, resume: bool) -> DepthNet:
    """Build the network that the training starts from."""
    if resume or config.initial == 'config':
        return initial_network(config.model, None, resume)
    if teacher is None:
        raise ValueError('initial: teacher needs --teacher; give one, or set initial to config')
    require_same_architecture(
        teacher.network.config,
        # A confidence may come on top.
        replace(config.model, confidence=teacher.network.config.confidence),
        'initial: teacher',
    )
    network = build_depth_net(replace(config.model, encoder_weights=None))
    own, given = network.state_dict(), teacher.network.state_dict()
    if config.model.num_outputs < teacher.network.config.num_outputs:
        raise ValueError(
            'initial: teacher needs a confidence where the teacher has one; set model.confidence '
            'to true and loss.confidence_weight above 0, or set initial to config'
        )
    for name, value in own.items():
        # A confidence is one more channel of the last layer, behind depth's.
        place = value[: len(given[name])] if value.ndim else value
        place.copy_(given[name])
    return network


def _semantic_encoder(config: StudentConfig, teacher: Teacher | None) -> nn.Module | None:
    """Build the frozen encoder of the clear frame where it is not the teacher's."""
    loss, model = config.loss, config.model
    if not loss.semantic_weight:
        return None
    seen = view_of(model) if teacher is None else view_of(teacher.network.config)
    if seen != view_of(model):
        raise ValueError(
            f'loss.semantic_weight is {loss.semantic_weight}, which needs a teacher that sees '
            f'pictures as the student does: {seen} is not {view_of(model)}; set it to 0'
        )
    if loss.semantic_weights is not None:
        return build_depth_net(replace(model, encoder_weights=loss.semantic_weights)).encoder
    if teacher is None or teacher.network.config.encoder != model.encoder:
        raise ValueError(
            'loss.semantic_weights must name weights where there is no teacher with the encoder '
            f'of the student, {model.encoder}; or set loss.semantic_weight to 0'
        )
    return None
