"""The demo's report: how many frames, how fast, how old, how wrong."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
import json
from pathlib import Path
from typing import Any

import numpy as np
from ssd_depth_core.metrics import mean_metrics
from ssd_depth_ros.evaluation import FrameScore


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """Hold the figures of one run; `report.json` has exactly these fields."""

    frames_in: int
    """Images that were played to the node."""
    frames_out: int
    """Images of which a depth image arrived at the recorder."""
    dropped: int
    """The difference, whether the node skipped them or the transport lost them."""
    rate_hz: float
    """Depth images a second, from the first arrival to the last."""
    age_ms_p50: float
    """Median age: from the moment an image is handed to DDS until its depth is received by the
    recorder in another process, both read from one monotonic clock [ms]."""
    age_ms_p99: float
    """99th percentile of the same."""
    abs_rel: float
    """Mean over frames of the mean of |d - d*| / d*."""
    rmse: float
    """Mean over frames of the root mean square of d - d* [m]."""
    delta1: float
    """Mean over frames of the share of pixels with max(d / d*, d* / d) < 1.25."""
    context: dict[str, Any]
    """What the figures were measured with and on."""


def make_report(
    sent_ns: Mapping[int, int],
    arrived_ns: Mapping[int, int],
    scores: list[FrameScore],
    context: dict[str, Any],
) -> Report:
    """Do the report's arithmetic.

    Args:
        sent_ns: Stamp of each image to the monotonic time at which it was published [ns].
        arrived_ns: Stamp of each depth image to the monotonic time of its arrival [ns].
        scores: Of the frames that have exact depth.
        context: Taken over, with the median-scaled errors and the number of scored frames added.

    Returns:
        The report.

    Raises:
        ValueError: If no depth image belongs to an image sent, or no frame was scored.
    """
    arrivals = sorted((arrived_ns[stamp], stamp) for stamp in sent_ns.keys() & arrived_ns.keys())
    if not arrivals:
        raise ValueError(
            f'the node published no depth for any of the {len(sent_ns)} images sent to it'
        )
    if not scores:
        raise ValueError('no published frame has exact depth; do the stamps in the bag agree?')
    ages_ms = [(arrival - sent_ns[stamp]) / 1e6 for arrival, stamp in arrivals]
    span_s = (arrivals[-1][0] - arrivals[0][0]) / 1e9
    metric = mean_metrics([score.metric for score in scores])
    scaled = mean_metrics([score.median_scaled for score in scores])
    return Report(
        frames_in=len(sent_ns),
        frames_out=len(arrivals),
        dropped=len(sent_ns) - len(arrivals),
        rate_hz=(len(arrivals) - 1) / span_s if span_s else 0.0,
        age_ms_p50=float(np.percentile(ages_ms, 50)),
        age_ms_p99=float(np.percentile(ages_ms, 99)),
        abs_rel=metric.abs_rel,
        rmse=metric.rmse,
        delta1=metric.a1,
        context=context
        | {
            'frames_scored': len(scores),
            'abs_rel_median_scaled': scaled.abs_rel,
            'rmse_median_scaled': scaled.rmse,
            'delta1_median_scaled': scaled.a1,
        },
    )


def write_report(report: Report, out: Path) -> None:
    """Write `report.json` and `report.md`.

    Args:
        report: What to write.
        out: The folder; exists.
    """
    (out / 'report.json').write_text(json.dumps(asdict(report), indent=2) + '\n')
    (out / 'report.md').write_text(_markdown(report))


def _markdown(report: Report) -> str:
    context = report.context
    lines = [
        '# Depth demo',
        '',
        f'Played {context["bag"]} to `depth_node` ({context["model"]}, {context["backend"]}) '
        f'on {context["machine"]}.',
        f'The drive is {context["drive"]}, and its errors say nothing about real ones.',
        '',
        '| figure | value | meaning |',
        '| --- | ---: | --- |',
        f'| frames_in | {report.frames_in} | images played to the node |',
        f'| frames_out | {report.frames_out} | images of which depth arrived |',
        f'| dropped | {report.dropped} | the difference |',
        f'| rate_hz | {report.rate_hz:.2f} | depth images a second |',
        f'| age_ms_p50 | {report.age_ms_p50:.1f} | image handed to DDS until depth received by '
        'another process, one monotonic clock: median |',
        f'| age_ms_p99 | {report.age_ms_p99:.1f} | the same, 99th percentile |',
        f'| abs_rel | {report.abs_rel:.3f} | mean of \\|d - d\\*\\| / d\\* |',
        f'| rmse | {report.rmse:.2f} | root mean square of d - d\\* [m] |',
        f'| delta1 | {report.delta1:.3f} | share of pixels within 25 % |',
        '',
        f'Errors are means over {context["frames_scored"]} frames, against the exact depth in the '
        'bag up to 80 m: at each pixel of the exact depth the nearest pixel of the published '
        'depth along the same ray. Where the node says unknown or beyond range, 80 m is scored.',
        '',
        '| context | |',
        '| --- | --- |',
        *(f'| {key} | {_cell(value)} |' for key, value in context.items()),
    ]
    return '\n'.join(lines) + '\n'


def _cell(value: Any) -> str:
    return f'{value:.3f}' if isinstance(value, float) else str(value)
