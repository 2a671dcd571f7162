"""What the translating stage does around the pipeline: choose, foretell, write, sum up."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
import shutil
import time
from typing import Any

from ssd_depth_core.config import to_dict
from ssd_depth_core.data.frame_reader import Size
from ssd_depth_core.data.index import IndexLine, read_header, read_lines, Split
from ssd_depth_core.data.manifest import ManifestLine
from ssd_depth_core.gdt.image_prompts import ImagePrompts
from ssd_depth_core.gdt.jobs import Batch, missing_batches
from ssd_depth_core.gdt.output_folder import FAILURES, is_of_unreadable_file, OutputFolder
from ssd_depth_core.gdt.pipeline import Failure, Made, Pipeline
from ssd_depth_core.gdt.recipe import TranslateConfig
from tqdm import tqdm

from training._verdicts import verdict_table

BYTES_A_PIXEL = 3
"""Of a picture that is not made yet: uncompressed, so that the disk holds it surely."""


def clear_frames(index: Path, split: Split) -> list[IndexLine]:
    """Read the frames that can be translated.

    Args:
        index: Folder of the index.
        split: Of the data set.

    Returns:
        Those of clear days.

    Raises:
        FileNotFoundError: If there is no index.
        ValueError: If it breaks the form, or has no such frame.
    """
    frames = [line for line in read_lines(index, split) if line.condition == 'day-clear']
    if not frames:
        raise ValueError(
            f'split {split} of {index} has no day-clear frame to translate; name another --split'
        )
    return frames


def check_exact_depth(frames: Sequence[IndexLine]) -> None:
    """Require depth that was rendered, before each frame is called unreadable for want of it.

    Args:
        frames: Those to translate with `depth.kind` exact.

    Raises:
        ValueError: If some have none.
    """
    without = [frame.id for frame in frames if frame.exact_depth is None]
    if without:
        raise ValueError(
            f'depth.kind exact needs rendered depth of every frame, and {len(without):,} of '
            f'{len(frames):,} have none, the first being {without[0]}; set depth.kind to onnx'
        )


def record_of(config: TranslateConfig, index: Path) -> dict[str, Any]:
    """Say what pictures are made with, and from what; a folder holds pictures of one such record.

    Args:
        config: What to do.
        index: Folder of the frames' index.

    Returns:
        The config, and under `data` the data set, how it was indexed, and by condition which
        photographs there are to draw from; plain values.

    Raises:
        FileNotFoundError: If there is no index, or no folder of photographs.
        ValueError: If its header breaks the form, or a folder holds no photograph.
    """
    header = read_header(index)
    root = str(Path(header.root).resolve())
    photographs = {
        condition: ImagePrompts(recipe.image_prompts).record
        for condition, recipe in config.conditions.items()
        if recipe.image_prompts is not None and config.translator == 'diffusion'
    }
    data = {
        'format': header.format,
        'root': root,
        'options': header.options,
        'image_prompts': photographs,
    }
    return to_dict(config) | {'data': data}


def describe(
    batches: Sequence[Batch],
    made: Sequence[ManifestLine],
    unusable: frozenset[str],
    out: Path,
    size: Size | None,
    seconds: float | None,
) -> str:
    """Say what a run would do and cost.

    Args:
        batches: All that is asked for.
        made: The manifest.
        unusable: Paths of pictures that are not tried again.
        out: Folder of the pictures; need not be there.
        size: (H, W) of the pictures, pixels; None: each frame's own.
        seconds: A picture, as a run printed it; None: not known.

    Returns:
        Lines to print.
    """
    wanted = [job for batch in batches for job in batch.jobs]
    left = missing_batches(batches, made, unusable)
    missing = [job for batch in left for job in batch.jobs if job.path in batch.missing]
    useless = [job for job in wanted if job.path in unusable]
    kinds = (wanted, useless, missing)
    per_condition = [Counter(job.condition for job in jobs) for jobs in kinds]
    counts = {name: [count[name] for count in per_condition] for name in per_condition[0]}
    text = [f'{"condition":12} {"pictures":>9} {"made":>9} {"unusable":>9} {"missing":>9}']
    for name, (of_all, unfit, left_out) in (*counts.items(), ('all', [*map(len, kinds)])):
        there = of_all - unfit - left_out
        text.append(f'{name:12} {of_all:9,} {there:9,} {unfit:9,} {left_out:9,}')
    if seconds is None:
        text.append('time: unknown; give --seconds-per-picture, which runs of two batches print')
    else:
        hours = len(missing) * seconds / 3600
        text.append(f'time: {hours:.1f} h at {seconds:g} s a picture')
    if made:
        mean = sum((out / line.path).stat().st_size for line in made) / len(made)
        need, how = mean * len(missing), 'like those there'
    else:
        sizes = [size or job.frame.size for job in missing]
        need, how = sum(BYTES_A_PIXEL * h * w for h, w in sizes), 'at most'
    folder = next(folder for folder in (out, *out.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(folder).free
    text.append(f'disk: {need / 1e9:.2f} GB needed ({how}), {free / 1e9:.2f} GB free')
    return '\n'.join(text)


def make_here(
    batches: Sequence[Batch], make_pipeline: Callable[[str], Pipeline], device: str
) -> Iterator[list[Made | Failure]]:
    """Make batches in this process.

    Args:
        batches: What there is to do.
        make_pipeline: Loads the models, if there is anything to do.
        device: Where networks compute.

    Yields:
        What became of each batch.
    """
    if batches:
        pipeline = make_pipeline(device)
        for batch in batches:
            yield pipeline.make(batch)


def write_all(
    results: Iterable[list[Made | Failure]], batches: Sequence[Batch], out: OutputFolder
) -> bool:
    """Write what comes, as it comes; print what came, and the verdicts on the whole folder.

    Args:
        results: Of each batch.
        batches: What there is to do, which the rate is reckoned by.
        out: Where to.

    Returns:
        Whether every source and photograph could be read.
    """
    count: Counter[str] = Counter()
    lines = [*out.lines]
    start = warm = time.monotonic()
    num_waited = 0  # pictures of the first batch, which waits for the models
    total = sum(len(batch.missing) for batch in batches)
    with tqdm(total=total, unit='picture', smoothing=0.05) as bar:
        for number, result in enumerate(results):
            made = [one for one in result if isinstance(one, Made)]
            failures = [one for one in result if isinstance(one, Failure)]
            out.add(made)
            out.note(failures)
            lines += [one.line for one in made]
            count['accepted'] += sum(one.line.accepted for one in made)
            count['rejected'] += sum(not one.line.accepted for one in made)
            unreadable = sum(map(is_of_unreadable_file, failures))
            count['unusable'] += len(failures) - unreadable
            count['of unreadable files'] += unreadable
            bar.set_postfix(accepted=count['accepted'])
            bar.update(len(result))
            if number == 0:
                warm, num_waited = time.monotonic(), len(made)
    now = time.monotonic()
    pictures = count['accepted'] + count['rejected']
    if pictures:
        print(f'{pictures:,} pictures in {now - start:.0f} s')
    if pictures > num_waited:
        seconds = (now - warm) / (pictures - num_waited)
        print(f'{seconds:.2f} s a picture after the first batch, which waited for the models')
    print(', '.join(f'{number:,} {what}' for what, number in count.items()) or 'nothing missing')
    if count['unusable'] or count['of unreadable files']:
        print(f'what could not be made, and why: {out.path / FAILURES}')
    if out.unusable:
        print(
            f'{len(out.unusable):,} unusable before, and not tried again but by --retry-failures'
        )
    if lines:
        print('all pictures in the folder (one may be rejected for several reasons):')
        print(verdict_table(lines))
    print(f'pictures: {out.path / "manifest.jsonl"}')
    return not count['of unreadable files']
