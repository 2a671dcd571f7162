"""Which pretrained networks a translation needs, and which of them are not on this machine.

Looking takes no time, so that whoever lacks five networks is told of five, before the first is
loaded. Files are looked for, not into: loading has the last word (`local_models.py`).
"""

from dataclasses import dataclass
from pathlib import Path

from ssd_depth_core.gdt.diffusion_config import DiffusionConfig, LORA_WEIGHTS
from ssd_depth_core.gdt.local_models import HUB_ID, remedy_for
from ssd_depth_core.gdt.recipe import TranslateConfig

TRANSFORMERS_FILES = ('config.json', '*.safetensors')
"""Of a network of transformers. Pickled weights do not count: they are not read."""
DIFFUSION_FILES = (
    'model_index.json',
    *(f'{part}/*.safetensors' for part in ('text_encoder', 'unet', 'vae')),
)
"""Of a pipeline of diffusers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NeededModel:
    """Hold a network that a config names."""

    part: str
    """What it is called in messages."""
    model: str
    """Hub id, folder or file."""
    files: tuple[str, ...] = TRANSFORMERS_FILES
    """Patterns from its folder, each of which some file must match."""
    folder: str = ''
    """Of the model, with a slash behind it, where not all of it is needed."""


def needed_models(config: TranslateConfig) -> list[NeededModel]:
    """List what a translation loads.

    Args:
        config: Of the translation.

    Returns:
        Each once; without the network that this package brings.
    """
    needed = []
    if config.depth.model is not None:
        files = () if config.depth.kind == 'onnx' else TRANSFORMERS_FILES
        needed.append(NeededModel(part='depth network', model=config.depth.model, files=files))
    if config.captioner.kind == 'blip2':
        needed.append(NeededModel(part='captioner', model=config.captioner.model))
    if config.translator == 'diffusion':
        needed += _of_diffusion(config.diffusion)
    if config.gate.clip_model is not None:
        needed.append(NeededModel(part='CLIP', model=config.gate.clip_model))
    return needed


def _of_diffusion(config: DiffusionConfig) -> list[NeededModel]:
    files = DIFFUSION_FILES
    if config.controlnet is None:
        files += ('controlnet/*.safetensors',)
    needed = [NeededModel(part='diffusion model', model=config.model, files=files, folder='*/')]
    if config.controlnet is not None:
        needed.append(NeededModel(part='ControlNet', model=config.controlnet))
    if config.lora is not None:
        needed.append(NeededModel(part='LoRA', model=config.lora, files=(LORA_WEIGHTS,)))
    if config.ip_adapter is not None:
        folder = f'{config.ip_adapter_subfolder}/'
        seen = (f'{folder}image_encoder/{name}' for name in TRANSFORMERS_FILES)
        files = (f'{folder}{config.ip_adapter_weights}', *seen)
        needed.append(
            NeededModel(part='IP-Adapter', model=config.ip_adapter, files=files, folder=folder)
        )
    return needed


def missing_models(config: TranslateConfig) -> list[str]:
    """Look for all that a translation loads.

    Args:
        config: Of the translation.

    Returns:
        A line for each network that is not on this machine: which, what it lacks, and the command
        that fetches it.
    """
    return [
        f'{needed.part} {needed.model} {fault}. {remedy_for(needed.model, needed.folder)}'
        for needed in needed_models(config)
        if (fault := _fault_of(needed))
    ]


def require_models(config: TranslateConfig) -> None:
    """Require all that a translation loads.

    Args:
        config: Of the translation.

    Raises:
        FileNotFoundError: If some are not on this machine; it names all of them.
    """
    if missing := missing_models(config):
        raise FileNotFoundError('\n'.join([f'models: {len(missing)} missing', *missing]))


def _fault_of(needed: NeededModel) -> str | None:
    """Say what is wrong with a model on this machine; None: nothing that can be seen."""
    root = _root_of(needed.model)
    if root is None:
        return 'is not on this machine'
    lacking = [pattern for pattern in needed.files if not any(root.glob(pattern))]
    return f'lacks {", ".join(lacking)} on this machine' if lacking else None


def _root_of(model: str) -> Path | None:
    """Find a model's folder or file; None where there is none."""
    path = Path(model)
    if path.exists():
        return path
    if not HUB_ID.fullmatch(model):
        return None
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(model, local_files_only=True))
    except (OSError, ValueError):  # never fetched; no hub id after all
        return None
