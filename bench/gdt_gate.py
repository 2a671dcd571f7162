"""Measure whether the gate tells broken translations from faithful ones.

    python -m bench.gdt_gate --json docs/results/gdt_gate.json --plot docs/images/gdt_gate.png

The gate looks at rendered twins of clear frames whose depth is exact: at faithful ones, which
show the same street at night, in rain, fog or snow, and at broken ones, in which a car was moved,
a pole taken away or a building flattened (`broken_worlds.py`). Its eye is the shipped student.
`--calibrate` works on streets of their own, and writes the critic to `weights/gate.json`.
"""

import argparse
from dataclasses import dataclass, replace
import json
from multiprocessing import get_context
from pathlib import Path
import shlex
import sys

import cv2
from matplotlib import rc_context
from matplotlib.figure import Figure
import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.conditions import RenderedCondition
from ssd_depth_core.config import to_dict
from ssd_depth_core.evaluation.plots import COLOURS, STYLE
from ssd_depth_core.gdt.acceptance import Gate, GateConfig
from ssd_depth_core.gdt.depth_estimator import EstimatedDepth
from ssd_depth_core.gdt.depth_prior import DepthPriorConfig
from ssd_depth_core.gdt.evidence import evidence, LARGE_PX, SMALL_PX, STRIDE_PX
from ssd_depth_core.gdt.geometry_scores import aligned_log_depths
from ssd_depth_core.gdt.translator import Request, Translation
from ssd_depth_core.gdt.trust import SHIPPED, shipped_critic, suspicion_map, trust_scores
from ssd_depth_core.records import provenance, Result, write_result

from bench.broken_worlds import CHANGED_RATIO, FARTHEST_M, Kind, KINDS, LEAST_PIXELS
from bench.critic_fit import fit_critic, Seen
from bench.twin_frames import FAITHFUL, Picture, SIZE, TARGETS, twin_frame, TwinFrame
from training._exported_depth import ExportedDepth

VALIDATION_SEED, TEST_SEED = 310000, 330000
"""Of the first street."""
EXACT, ESTIMATED = 'exact', 'student'
"""Whose depth of the source the gate compares with."""
SANITY = ('another frame', 'mirrored', 'blurred', 'black')
"""Broken by other means: a gate that lets these pass is none."""
BLUR_PX = 6.0
SMALL: dict[Kind, int] = {'moved car': 400, 'missing pole': 400, 'flattened building': 3000}
"""Changed pixels up to which a break is small, for rows by size."""
STREETS_A_JOB = 6
FOLDS = 4
"""Parts of the validation streets, each left out once."""
REPLICATES = 1000
"""Draws of streets for an interval."""


def shipped_student() -> ExportedDepth:
    """Load the gate's eye.

    Returns:
        The shipped student, which gives depth of the frames' own size.
    """
    return ExportedDepth(DepthPriorConfig(kind='onnx'))


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """Hold one verdict and what it was about."""

    street: int
    reference: str
    """`EXACT` or `ESTIMATED`."""
    shown: str
    """`FAITHFUL`, a kind of break, or one of `SANITY`."""
    condition: RenderedCondition
    pixels: int
    """Changed by the break; 0 for others."""
    accepted: bool
    scores: dict[str, float]


Job = tuple[tuple[int, ...], Path | None, tuple[str, ...]]
"""Seeds of streets, the folder where rendered frames are kept, and the depths to compare with."""


def judge_streets(job: Job) -> list[Judged]:
    """Render some streets and judge their twins.

    Args:
        job: What to judge.

    Returns:
        All verdicts.
    """
    seeds, folder, references = job
    student = shipped_student()
    gate = Gate(GateConfig(), student)
    frames = [frame for seed in seeds if (frame := twin_frame(seed, folder)).twins]
    judged = []
    for index, frame in enumerate(frames):
        pictures = dict(frame.twins) | _sanity(frame, frames[index - 1])
        depths = source_depths(frame, student)
        for reference in references:
            depth = depths[reference]
            requests = [
                Request(
                    picture=frame.clear, depth=depth, K=frame.K, condition=condition,
                    caption=None, seed=0,
                )
                for _, condition in pictures
            ]  # fmt: skip
            for (shown, condition), request, picture in zip(
                pictures, requests, pictures.values(), strict=True
            ):
                made = Translation(picture=picture, prompt=None, image_prompt=None)
                # One by one: broken twins would be near-duplicates of the faithful one.
                [verdict] = gate.judge([request], [made])
                thing = frame.broken.get(shown)  # type: ignore[call-overload]
                judged.append(
                    Judged(
                        street=frame.seed, reference=reference, shown=shown, condition=condition,
                        pixels=thing.pixels if thing else 0, accepted=verdict.accepted,
                        scores=verdict.scores,
                    )
                )  # fmt: skip
    return judged


def _sanity(frame: TwinFrame, other: TwinFrame) -> dict[tuple[str, RenderedCondition], Picture]:
    """Break pictures by other means, each frame under one condition, in turn."""
    condition = TARGETS[frame.seed % len(TARGETS)]
    faithful = frame.twins[FAITHFUL, condition]
    pictures = (
        other.twins[FAITHFUL, condition],
        np.ascontiguousarray(faithful[:, ::-1]),
        cv2.GaussianBlur(faithful, (0, 0), BLUR_PX),
        np.zeros_like(faithful),
    )
    return {(name, condition): each for name, each in zip(SANITY, pictures, strict=True)}


def auroc(faithful: NDArray[np.floating], broken: NDArray[np.floating]) -> float:
    """Give the probability that a faithful picture is trusted more than a broken one.

    Args:
        faithful: (n,) trust in faithful pictures.
        broken: (m,) trust in broken ones.

    Returns:
        Area under the ROC curve, in [0, 1]; ties count half; NaN where one of both is empty.
    """
    if not len(faithful) or not len(broken):
        return float('nan')
    ahead = faithful[:, None] - broken
    return float(np.mean(ahead > 0) + np.mean(ahead == 0) / 2)


def interval(
    faithful: list[Judged], broken: list[Judged], seed: int
) -> tuple[float | None, float | None]:
    """Bootstrap the AUROC over streets, whose pictures belong together.

    Args:
        faithful: Verdicts.
        broken: Verdicts.
        seed: Of the draws.

    Returns:
        95 % percentile interval; None where fewer than two streets have both.
    """
    streets = sorted({each.street for each in broken})
    if len(streets) < 2:
        return None, None
    every = sorted({each.street for each in faithful})
    trusts = [
        {street: [e.scores['trust'] for e in group if e.street == street] for street in every}
        for group in (faithful, broken)
    ]
    rng = np.random.default_rng(seed)
    areas = []
    for _ in range(REPLICATES):
        drawn = rng.choice(every, len(every))
        good, bad = (np.array([t for street in drawn for t in of[street]]) for of in trusts)
        areas.append(auroc(good, bad))
    low, high = np.nanquantile(areas, (0.025, 0.975))
    return float(low), float(high)


def row(
    reference: str, shown: str, condition: str, faithful: list[Judged], group: list[Judged]
) -> dict[str, object]:
    """Sum up some verdicts.

    Args:
        reference: Whose depth.
        shown: What.
        condition: Under which, or `all`.
        faithful: The faithful ones under it.
        group: Those of the row.

    Returns:
        Number of streets and pictures, AUROC and its interval, and the share rejected.
    """
    values: dict[str, float | None] = {'auroc': None, 'auroc_low': None, 'auroc_high': None}
    if group and shown != FAITHFUL:
        trust = [np.array([each.scores['trust'] for each in some]) for some in (faithful, group)]
        low, high = interval(faithful, group, TEST_SEED)
        values = {'auroc': auroc(*trust), 'auroc_low': low, 'auroc_high': high}
    return {
        'source_depth': reference,
        'shown': shown,
        'condition': condition,
        'streets': len({each.street for each in group}),
        'pictures': len(group),
        **values,
        'rejected': float(np.mean([not each.accepted for each in group])) if group else None,
    }


def rows_of(judged: list[Judged]) -> list[dict[str, object]]:
    """Sum up all verdicts.

    Args:
        judged: Of the test streets.

    Returns:
        Rows by source depth, what is shown and condition; then by size; then sanity.
    """
    rows = []
    for reference in (EXACT, ESTIMATED):
        ours = [each for each in judged if each.reference == reference]
        good = [each for each in ours if each.shown == FAITHFUL]
        bad = [each for each in ours if each.shown in KINDS]
        for shown in (FAITHFUL, 'all broken', *KINDS):
            some = good if shown == FAITHFUL else bad
            if shown in KINDS:
                some = [each for each in bad if each.shown == shown]
            rows.append(row(reference, shown, 'all', good, some))
            for condition in TARGETS:
                beside, here = ([e for e in g if e.condition == condition] for g in (good, some))
                rows.append(row(reference, shown, condition, beside, here))
        large = [each for each in bad if each.pixels >= SMALL[each.shown]]  # type: ignore[index]
        rows.append(row(reference, 'all broken, large', 'all', good, large))
        for kind in KINDS:
            few = [each for each in bad if each.shown == kind and each.pixels < SMALL[kind]]
            many = [each for each in large if each.shown == kind]
            rows.append(row(reference, f'{kind}, < {SMALL[kind]} px', 'all', good, few))
            rows.append(row(reference, f'{kind}, >= {SMALL[kind]} px', 'all', good, many))
        for shown in SANITY:
            some = [each for each in ours if each.shown == shown]
            rows.append(row(reference, shown, 'all', good, some))
    return rows


def collect_streets(job: Job) -> list[Seen]:
    """Render some streets and collect the evidence about their twins.

    Args:
        job: Which.

    Returns:
        One a picture and a depth to compare with.
    """
    seeds, folder, references = job
    student, seen = shipped_student(), []
    for seed in seeds:
        frame = twin_frame(seed, folder)
        depths = source_depths(frame, student)
        for (shown, _), picture in frame.twins.items():
            thing = frame.broken.get(shown)  # type: ignore[call-overload]
            changed = np.zeros(SIZE, np.float32) if thing is None else np.float32(thing.changed)
            share = cv2.blur(changed, SMALL_PX)[STRIDE_PX // 2 :: STRIDE_PX]
            [estimate] = student.estimate([picture], [frame.K])
            for reference in references:
                aligned = aligned_log_depths(
                    depths[reference].inverse_depth, estimate.inverse_depth, with_shift=False
                )
                seen.append(
                    Seen(
                        street=seed,
                        reference=reference,
                        shown=shown,
                        evidence=evidence(*aligned, frame.clear, picture),
                        changed=share[:, STRIDE_PX // 2 :: STRIDE_PX],
                    )
                )
    return seen


def source_depths(frame: TwinFrame, student: ExportedDepth) -> dict[str, EstimatedDepth]:
    """Give the depths of a source that its twins are held against.

    Args:
        frame: The source.
        student: Who estimates.

    Returns:
        By `EXACT` and `ESTIMATED`.
    """
    [estimated] = student.estimate([frame.clear], [frame.K])
    return {
        EXACT: EstimatedDepth(np.float32(1) / frame.depth, metric=True),
        ESTIMATED: estimated,
    }


def calibrate(seen: list[Seen], first: int, streets: int) -> None:
    """Fit the critic that comes with the package, and say how well it does on streets left out.

    Args:
        seen: Evidence about twins on the validation streets.
        first: Seed of the first street.
        streets: That were rendered.
    """
    trust: dict[int, float] = {}
    names = sorted({each.street for each in seen})
    for fold in range(FOLDS):
        left_out = set(names[fold::FOLDS])
        critic = fit_critic([e for e in seen if e.street not in left_out], FAITHFUL, first)
        for index, each in enumerate(seen):
            if each.street in left_out:
                trust[index] = trust_scores(critic, each.evidence)['trust']
    for reference in (EXACT, ESTIMATED):
        of = {
            shown: np.array(
                [
                    trust[i]
                    for i, each in enumerate(seen)
                    if (each.reference, each.shown) == (reference, shown)
                ]
            )
            for shown in (FAITHFUL, *KINDS)
        }
        for kind in KINDS:
            area = auroc(of[FAITHFUL], of[kind])
            print(f'{reference}, {kind}: AUROC {area:.3f}, n = {len(of[kind])}')
        quantiles = np.round(np.quantile(of[FAITHFUL], (0.01, 0.05, 0.1, 0.5)), 3)
        print(f'{reference}: trust in faithful twins, 1, 5, 10 and 50 %:', *quantiles)
    source = f'{len(seen)} pictures of SynthDrive, streets {first} to {first + streets - 1}'
    critic = replace(fit_critic(seen, FAITHFUL, first), fitted_to=source)
    SHIPPED.write_text(json.dumps(to_dict(critic)) + '\n')
    print(SHIPPED)


def draw_curves(judged: list[Judged], path: Path) -> None:
    """Draw the ROC curves of every kind of break.

    Args:
        judged: Of the test streets.
        path: PNG to write.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(9, 4.2), layout='constrained')
        titles = {EXACT: 'source depth: exact', ESTIMATED: 'source depth: estimated'}
        for axes, reference in zip(figure.subplots(1, 2, sharey=True), titles, strict=True):
            ours = [each for each in judged if each.reference == reference]
            good = np.array([e.scores['trust'] for e in ours if e.shown == FAITHFUL])
            for colour, kind in zip(COLOURS, KINDS, strict=False):
                bad = np.array([e.scores['trust'] for e in ours if e.shown == kind])
                levels = np.concatenate([[-1.0], np.unique(np.concatenate([good, bad])), [2.0]])
                rejected = [[np.mean(some < level) for level in levels] for some in (good, bad)]
                label = f'{kind} ({auroc(good, bad):.2f}, n = {len(bad)})'
                axes.step(*rejected, where='post', color=colour, label=label)
                least = GateConfig().min_trust
                axes.plot(np.mean(good < least), np.mean(bad < least), 'o', color=colour)
            axes.plot((0, 1), (0, 1), color='#8c8c8c', linestyle='--', linewidth=1)
            axes.set_title(titles[reference])
            axes.set_xlabel(f'faithful twins rejected (n = {len(good)})')
            axes.legend(loc='lower right', title='AUROC; dot: shipped threshold')
        figure.axes[0].set_ylabel('broken twins rejected')
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=110, metadata={'Software': None})


def draw_examples(judged: list[Judged], folder: Path | None, path: Path) -> None:
    """Draw one broken twin of every kind and condition, and where the gate points.

    Columns: source, faithful twin, broken twin, broken twin with the place of the worst score in
    red and the true outline of the change in white. Streets are taken in order, not chosen.

    Args:
        judged: Of the test streets.
        folder: Where rendered frames are kept.
        path: PNG to write.
    """
    student, sheet = shipped_student(), []
    for kind, condition in zip((*KINDS, KINDS[0]), TARGETS, strict=True):
        shown = [e.street for e in judged if (e.shown, e.condition) == (kind, condition)]
        frame = twin_frame(shown[0], folder)
        source, broken = frame.clear, frame.twins[kind, condition]
        [estimate] = student.estimate([broken], [frame.K])
        exact = source_depths(frame, student)[EXACT].inverse_depth
        aligned = aligned_log_depths(exact, estimate.inverse_depth, with_shift=False)
        places = suspicion_map(shipped_critic(), evidence(*aligned, source, broken))
        row_, column = np.unravel_index(int(places.argmax()), places.shape)
        u, v = (int(n) * STRIDE_PX + STRIDE_PX // 2 for n in (column, row_))
        half = [side // 2 for side in LARGE_PX]
        corners = (u - half[0], v - half[1]), (u + half[0], v + half[1])
        pointed = broken.copy()
        outline, _ = cv2.findContours(
            frame.broken[kind].changed.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
        )
        cv2.drawContours(pointed, outline, -1, (255, 255, 255), 1)
        cv2.rectangle(pointed, *corners, (230, 30, 30), 2)
        sheet.append(
            np.concatenate([source, frame.twins[FAITHFUL, condition], broken, pointed], 1)
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    small = cv2.resize(np.concatenate(sheet), None, fx=0.75, fy=0.75, interpolation=cv2.INTER_AREA)
    if not cv2.imwrite(str(path), small[..., ::-1]):
        raise OSError(f'picture {path} could not be written; is the disk full?')


def main(argv: list[str] | None = None) -> int:
    """Run the bench.

    Args:
        argv: Command line; None takes the process's own.

    Returns:
        Exit status.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or '').partition('\n')[0])
    parser.add_argument('--streets', type=int, default=90, help='to render, a frame each')
    parser.add_argument('--processes', type=int, default=2, help='of one thread each')
    parser.add_argument('--calibrate', action='store_true', help='on the validation streets')
    parser.add_argument('--frames', type=Path, help='folder that keeps rendered frames')
    parser.add_argument('--json', type=Path, help='write the figures here, for docs/results.md')
    parser.add_argument('--plot', type=Path, help='PNG of ROC curves; examples lie beside it')
    arguments = sys.argv[1:] if argv is None else argv
    options = parser.parse_args(arguments)

    first = VALIDATION_SEED if options.calibrate else TEST_SEED
    seeds = tuple(range(first, first + options.streets))
    jobs: list[Job] = [
        (seeds[start : start + STREETS_A_JOB], options.frames, (EXACT, ESTIMATED))
        for start in range(0, len(seeds), STREETS_A_JOB)
    ]
    with get_context('spawn').Pool(options.processes) as pool:
        if options.calibrate:
            seen = [each for group in pool.imap(collect_streets, jobs) for each in group]
            calibrate(seen, first, options.streets)
            return 0
        judged = [each for group in pool.imap(judge_streets, jobs) for each in group]
    rows = rows_of(judged)
    for each in rows:
        print(*each.values(), sep='\t')
    if options.plot:
        draw_curves(judged, options.plot)
        examples = options.plot.with_name(f'{options.plot.stem}_examples.png')
        draw_examples(judged, options.frames, examples)
    if options.json:
        limits = '; '.join(
            f'{kind} >= {LEAST_PIXELS[kind]} px, <= {FARTHEST_M[kind]:g} m' for kind in KINDS
        )
        result = Result(
            title='Broken translations that the gate tells from faithful ones',
            command=shlex.join(['python', '-m', 'bench.gdt_gate', *arguments]),
            seed=TEST_SEED,
            data=(
                f'synthetic: {len({each.street for each in judged})} of {options.streets} '
                f'streets, one {SIZE[1]}x{SIZE[0]} frame each, in {len(TARGETS)} conditions; the '
                'others show nothing that can be broken'
            ),
            rows=tuple(rows),
            notes=(
                f'A break changes depth by a factor of {CHANGED_RATIO:g} on so many pixels so '
                f'near: {limits}. AUROC is of `trust`, faithful twins of the same condition (or '
                'of all) against broken ones; intervals are 95 % by bootstrap over streets. '
                '`rejected` is by the shipped thresholds, all checks together, which were set on '
                f'other streets (from seed {VALIDATION_SEED} on). `source_depth` is what the '
                'gate compares with; its eye is the shipped student in all rows.'
            ),
            **provenance(),
        )
        write_result(result, options.json)
    return 0


if __name__ == '__main__':
    sys.exit(main())
