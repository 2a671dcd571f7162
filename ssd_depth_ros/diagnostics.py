"""The node's health in a DiagnosticStatus: one level, one sentence, all figures."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from ssd_depth_ros.statistics import Report, total

HOLD_S = 5.0
"""How long a fault colours the status, and how long without an image is worth a warning: at 1 Hz a
shorter time would make the level flicker."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """Hold what the level depends on, at one moment."""

    state: str
    """Label of the lifecycle state."""
    refused: int = 0
    """Images for which the network gave NaN or what is no depth, whichever camera's."""
    loading: str = ''
    """What takes its time in the transition under way; empty where nothing does."""
    failure: str = ''
    """Which transition failed last, and why; empty if none did."""
    fault: str = ''
    """Why the last unusable image was unusable."""
    fault_age_s: float = float('inf')
    """How long ago that was."""
    silence_s: float = 0.0
    """Since the last image, or since activation."""
    image_topics: tuple[str, ...] = ()
    """Where images are expected, for the message."""
    subscribers: dict[str, int] = field(default_factory=dict)
    """Of every output that is advertised."""
    range_m: float | None = None
    """How far depth reaches with the camera in use [m]; None until its intrinsics are known."""


def status_of(
    name: str, hardware_id: str, health: Health, report: Report | None
) -> DiagnosticStatus:
    """Judge the node.

    Args:
        name: Of the status, stable over the node's life.
        hardware_id: What the network runs on.
        health: Of now.
        report: Figures of now; None while not active.

    Returns:
        ERROR for a failed transition or a recent unusable image, WARN where images are missing or
        dropped, else OK; with every figure as a key.
    """
    level, message = _judge(health, report)
    values = {'state': health.state}
    if health.subscribers:
        counts = (f'{name} {count}' for name, count in health.subscribers.items())
        values['subscribers'] = ', '.join(counts)
    if health.range_m is not None:
        values['range_m'] = f'{health.range_m:.1f}'
    if health.refused:
        values['refused_by_network'] = str(health.refused)
    if report is not None:
        values |= _figures(report)
    if health.fault:
        values['last_fault'] = health.fault
    return _status(level, name, message, hardware_id, values)


def summary_of(
    name: str,
    statuses: Mapping[str, DiagnosticStatus],
    reports: Mapping[str, Report | None],
    health: Health,
    network_calls: int | None,
) -> DiagnosticStatus:
    """Judge a node of several cameras by the worst of them.

    Args:
        name: Of the status, stable over the node's life.
        statuses: By name of the camera.
        reports: By name of the camera; None while not active.
        health: Of the node, without what belongs to one camera.
        network_calls: Since activation; None while not active.

    Returns:
        Counts and rates are sums over the cameras, times those of the camera where they are worst.
    """
    active = [report for report in reports.values() if report is not None]
    report = total(active) if active else None
    level, message = _judge(health, None)
    if report is not None and level == DiagnosticStatus.OK:
        level = max(status.level for status in statuses.values())
        ill = [f'{n}: {s.message}' for n, s in statuses.items() if s.level != DiagnosticStatus.OK]
        message = '; '.join(ill) or 'running'
    values = {'state': health.state, 'cameras': ', '.join(statuses)}
    if network_calls is not None:
        values['network_calls'] = str(network_calls)
    if health.refused:
        values['refused_by_network'] = str(health.refused)
    if report is not None:
        values |= _figures(report)
    (hardware_id,) = {status.hardware_id for status in statuses.values()}
    return _status(level, name, message, hardware_id, values)


def _judge(health: Health, report: Report | None) -> tuple[bytes, str]:
    if health.loading:
        return DiagnosticStatus.OK, health.loading
    if health.failure:
        return DiagnosticStatus.ERROR, health.failure
    if report is None:
        return DiagnosticStatus.OK, health.state
    if health.fault_age_s < HOLD_S:
        return DiagnosticStatus.ERROR, health.fault
    if health.silence_s > HOLD_S:
        return DiagnosticStatus.WARN, (
            f'no image on {" or ".join(health.image_topics)} for {health.silence_s:.0f} s; '
            'is the camera running, and does its QoS fit input_qos?'
        )
    if report.dropped_lately:
        return DiagnosticStatus.WARN, (
            f'{report.dropped_lately} images dropped lately: they come at {report.rate_in_hz:.1f} '
            f'Hz, the network does {report.rate_out_hz:.1f} Hz'
        )
    return DiagnosticStatus.OK, 'running'


def _status(
    level: bytes, name: str, message: str, hardware_id: str, values: dict[str, str]
) -> DiagnosticStatus:
    return DiagnosticStatus(
        level=level,
        name=name,
        message=message,
        hardware_id=hardware_id,
        values=[KeyValue(key=key, value=value) for key, value in values.items()],
    )


def _figures(report: Report) -> dict[str, str]:
    figures = {
        'frames_in': str(report.frames_in),
        'frames_out': str(report.frames_out),
        'dropped': str(report.dropped),
        'faulty': str(report.faulty),
        'skipped': str(report.skipped),
        'rate_in_hz': f'{report.rate_in_hz:.2f}',
        'rate_out_hz': f'{report.rate_out_hz:.2f}',
    }
    for name, (p50, p99) in report.times_ms.items():
        figures |= {f'{name}_ms_p50': f'{p50:.2f}', f'{name}_ms_p99': f'{p99:.2f}'}
    return figures
