"""From a checkpoint to an ONNX file with its ModelSpec, proven equal before it is kept."""

from collections.abc import Callable
from dataclasses import dataclass, replace
import json
import os
from pathlib import Path

import onnx
from ssd_depth_core.checks import check_file, sha256_of
from ssd_depth_core.config import to_dict
from ssd_depth_core.export.parity import measure_parity, Parity
from ssd_depth_core.export.reference import write_reference
from ssd_depth_core.learning.checkpoint import check_metric, CheckpointInfo, load_checkpoint
from ssd_depth_core.learning.run_folder import RunFolder
from ssd_depth_core.model_spec import ModelSpec, save_spec
from ssd_depth_core.models.depth_net import DepthNet, ExportedDepthNet
import torch
import yaml

# TensorRT parses 18 in fp32 and fp16 alike; 23 brings operators that it builds in fp16 only.
OPSET_VERSION = 18

STACK_TRACE = 'pkg.torch.onnx.stack_trace'
"""Which lines of which files called an operator: paths of the machine that exported."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportConfig:
    """Say how a network is exported."""

    seed: int = 0
    """Of the images on which the runtimes are compared."""
    name: str
    """What the model is called, for logs and tables."""
    licence: str = 'Apache-2.0'
    """SPDX identifier of the weights' licence."""
    tolerance: float = 1e-4
    """Largest relative error of inverse depth, and error of confidence, against torch."""
    training_commit: str | None = None
    """Of the code that trained, for a checkpoint that does not say; None: `unknown`."""

    def __post_init__(self) -> None:
        """Validate the tolerance.

        Raises:
            ValueError: If it is not positive.
        """
        if self.tolerance <= 0:
            raise ValueError(f'tolerance must be > 0, got {self.tolerance}')


def write_onnx(network: DepthNet, path: Path) -> None:
    """Write a network as one ONNX file: `image` to `inverse_depth` and any `confidence`.

    Height and width are fixed, which lets every runtime plan its memory; the batch is free.

    Args:
        network: In evaluation mode, on the CPU.
        path: `.onnx`.
    """
    config = network.config
    exported = ExportedDepthNet(network).eval()
    # Two images, since torch.export takes a dimension of one for a constant.
    image = torch.zeros(2, 3, config.input_height, config.input_width)
    torch.onnx.export(
        exported,
        (image,),
        path,
        dynamo=True,
        opset_version=OPSET_VERSION,
        external_data=False,
        input_names=['image'],
        output_names=exported.output_names,
        dynamic_shapes={'image': {0: torch.export.Dim('batch')}},
        verbose=False,
    )
    model = onnx.load(path)
    for node in model.graph.node:
        for entry in [entry for entry in node.metadata_props if entry.key == STACK_TRACE]:
            node.metadata_props.remove(entry)
    onnx.save(model, path)


def spec_of(info: CheckpointInfo, onnx_path: Path, config: ExportConfig) -> ModelSpec:
    """Describe an exported network.

    Args:
        info: What the checkpoint says of itself.
        onnx_path: The file written from it.
        config: Gives name and licence.

    Returns:
        The spec, with the file's sha256.
    """
    model = info.model
    return ModelSpec(
        name=config.name,
        onnx_sha256=sha256_of(onnx_path),
        input_height=model.input_height,
        input_width=model.input_width,
        mean=model.mean,
        std=model.std,
        min_depth_m=model.min_depth_m,
        max_depth_m=model.max_depth_m,
        has_confidence=model.confidence,
        canonical_focal_px=model.canonical_focal_px,
        training_data=info.training_data,
        training_command=info.training_command,
        training_config=info.training_config,
        training_commit=info.training_commit,
        training_steps=info.step,
        metrics=info.metrics,
        licence=config.licence,
    )


def export_checkpoint(checkpoint: Path, out: Path, config: ExportConfig) -> tuple[Parity, ...]:
    """Export a checkpoint; `out` and its spec appear only if every runtime agrees with torch.

    Args:
        checkpoint: What training wrote.
        out: `<name>.onnx`; beside it land the spec, `<name>.json`, how far each runtime is from
            torch, `<name>.parity.json`, and what engines are checked with, `<name>.check.npz`.
        config: How.

    Returns:
        How far each runtime is from torch.

    Raises:
        FileNotFoundError: If there is no such checkpoint, or neither it nor a `config.yaml` beside
            it says what it was trained with.
        ValueError: If the checkpoint is damaged, contradicts the config or knows no metres, `out`
            does not end in `.onnx`, the network gives values that are not finite, or a runtime
            differs by more than the tolerance.
    """
    _check_out(out)
    network, info = load_checkpoint(checkpoint)
    info = _complete(info, checkpoint, config)
    check_metric(info, f'checkpoint {checkpoint}')
    return export_network(
        network,
        out,
        lambda path: spec_of(info, path, config),
        seed=config.seed,
        tolerance=config.tolerance,
    )


def export_network(
    network: DepthNet,
    out: Path,
    describe: Callable[[Path], ModelSpec],
    *,
    seed: int,
    tolerance: float,
) -> tuple[Parity, ...]:
    """Export a network; `out` and its spec appear only if every runtime agrees with torch.

    Args:
        network: In evaluation mode, on the CPU; its output is metric.
        out: `<name>.onnx`; beside it land the spec, `<name>.json`, how far each runtime is from
            torch, `<name>.parity.json`, and what engines are checked with, `<name>.check.npz`.
        describe: From the file written to its spec.
        seed: Of the images on which the runtimes are compared.
        tolerance: Largest relative error of inverse depth, and error of confidence.

    Returns:
        How far each runtime is from torch.

    Raises:
        ValueError: If `out` does not end in `.onnx`, the network gives values that are not
            finite, or a runtime differs by more than the tolerance.
    """
    _check_out(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_suffix('.part.onnx')
    try:
        write_onnx(network, part)
        parities = measure_parity(network, part, seed)
        for parity in parities:
            if not parity.error <= tolerance:  # this way round, so that NaN fails
                raise ValueError(
                    f'{parity.runtime} differs from torch by {parity.error:.2g}, more than the '
                    f'tolerance {tolerance:g}; {out} was not written'
                )
        os.replace(part, out)
    finally:
        part.unlink(missing_ok=True)
    spec = describe(out)
    save_spec(spec, out)
    write_reference(out, spec, 'fp32')
    report = [to_dict(parity) for parity in parities]
    out.with_suffix('.parity.json').write_text(json.dumps(report, indent=2) + '\n')
    return parities


def _check_out(out: Path) -> None:
    if out.suffix != '.onnx':
        raise ValueError(f'out must end in .onnx, got {out}')


def _complete(info: CheckpointInfo, checkpoint: Path, config: ExportConfig) -> CheckpointInfo:
    """Add what an older checkpoint does not say of itself."""
    given = config.training_commit
    if given is not None and info.training_commit not in ('unknown', given):
        raise ValueError(
            f'training_commit is {info.training_commit} in {checkpoint}, but {given} in the '
            'config; leave it out there'
        )
    if given is not None:
        info = replace(info, training_commit=given)
    if not info.training_config:
        path = RunFolder(checkpoint.parent).config
        check_file(path, 'training config', 'copy the whole run folder, not the checkpoint alone')
        info = replace(info, training_config=yaml.safe_load(path.read_text()))
    return info
