import math

from diagnostic_msgs.msg import DiagnosticStatus
import pytest
from ssd_depth_ros.diagnostics import Health, HOLD_S, status_of, summary_of
from ssd_depth_ros.statistics import Report

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


def report(**changes):
    values = {
        'frames_in': 10,
        'frames_out': 7,
        'dropped': 1,
        'faulty': 1,
        'skipped': 1,
        'rate_in_hz': 12.0,
        'rate_out_hz': 8.4,
        'dropped_lately': 0,
        'times_ms': {'age': (20.0, 31.25)},
    }
    return Report(**(values | changes))


def judge(health, figures=None):
    status = status_of('n: depth', 'openvino on x86_64 CPU', health, figures)
    return status.level, status.message


ACTIVE = {'state': 'active', 'image_topics': ('/cam/image', '/cam/image/compressed')}


def test_inactive_node_is_ok_and_names_its_state():
    assert judge(Health(state='unconfigured')) == (OK, 'unconfigured')


@pytest.mark.parametrize('state', ['unconfigured', 'active', 'finalized'])
def test_failed_transition_is_an_error_with_its_reason(state):
    health = Health(state=state, failure='configure failed: model not found at /x.onnx')
    assert judge(health, report()) == (ERROR, 'configure failed: model not found at /x.onnx')


def test_running_node_is_ok():
    assert judge(Health(**ACTIVE), report()) == (OK, 'running')


@pytest.mark.parametrize(('age_s', 'level'), [(0.1, ERROR), (HOLD_S + 0.1, OK)])
def test_fault_holds_for_a_while(age_s, level):
    health = Health(**ACTIVE, fault='no camera_info', fault_age_s=age_s)
    assert judge(health, report())[0] == level


def test_silence_is_a_warning_that_names_the_topics():
    level, message = judge(Health(**ACTIVE, silence_s=HOLD_S + 1), report())
    assert level == WARN
    assert 'no image on /cam/image or /cam/image/compressed for 6 s' in message


def test_recent_drops_are_a_warning_with_both_rates():
    level, message = judge(Health(**ACTIVE), report(dropped_lately=4))
    assert level == WARN
    assert message == ('4 images dropped lately: they come at 12.0 Hz, the network does 8.4 Hz')


def test_every_figure_is_a_key():
    health = Health(
        **ACTIVE, fault='torn', fault_age_s=math.inf, subscribers={'depth': 2}, range_m=54.04
    )
    status = status_of('n: depth', 'cpu', health, report())
    assert {item.key: item.value for item in status.values} == {
        'state': 'active',
        'subscribers': 'depth 2',
        'range_m': '54.0',
        'frames_in': '10',
        'frames_out': '7',
        'dropped': '1',
        'faulty': '1',
        'skipped': '1',
        'rate_in_hz': '12.00',
        'rate_out_hz': '8.40',
        'age_ms_p50': '20.00',
        'age_ms_p99': '31.25',
        'last_fault': 'torn',
    }
    assert (status.name, status.hardware_id) == ('n: depth', 'cpu')


def summary(cameras, node=None):
    """Judge cameras, given as their health and report, together."""
    statuses = {
        name: status_of(f'n: depth {name}', 'cpu', health, figures)
        for name, (health, figures) in cameras.items()
    }
    reports = {name: figures for name, (_, figures) in cameras.items()}
    return summary_of('n: depth', statuses, reports, node or Health(state='active'), 5)


def test_cameras_together_are_as_ill_as_the_worst():
    well, ill = (Health(**ACTIVE), report()), (Health(**ACTIVE, silence_s=60.0), report())
    torn = (Health(**ACTIVE, fault='JPEG has no end', fault_age_s=1.0), report())
    assert (summary({'a': well, 'b': well}).level, summary({'a': well}).message) == (OK, 'running')
    status = summary({'a': well, 'b': ill})
    assert status.level == WARN
    assert status.message.startswith('b: no image on /cam/image')
    status = summary({'a': torn, 'b': ill})
    assert status.level == ERROR
    assert status.message.startswith('a: JPEG has no end; b: no image')


def test_figures_of_cameras_together_are_sums_and_the_worst_times():
    slow = report(times_ms={'age': (10.0, 99.0), 'decode': (3.0, 4.0)}, frames_out=1)
    status = summary({'a': (Health(**ACTIVE), report()), 'b': (Health(**ACTIVE), slow)})
    values = {item.key: item.value for item in status.values}
    assert (values['cameras'], values['network_calls']) == ('a, b', '5')
    assert (values['frames_in'], values['frames_out']) == ('20', '8')
    assert values['rate_in_hz'] == '24.00'
    assert (values['age_ms_p50'], values['age_ms_p99']) == ('20.00', '99.00')
    assert values['decode_ms_p99'] == '4.00'
    assert (status.name, status.hardware_id) == ('n: depth', 'cpu')


def test_cameras_together_tell_what_the_node_does():
    inactive = (Health(state='configuring'), None)
    node = Health(state='configuring', loading='BUILDING or loading m.onnx, for 3 s')
    assert summary({'a': inactive}, node).message == 'BUILDING or loading m.onnx, for 3 s'
    node = Health(state='unconfigured', failure='configure failed: no model')
    status = summary({'a': inactive}, node)
    assert (status.level, status.message) == (ERROR, 'configure failed: no model')
    assert summary({'a': inactive}, Health(state='inactive')).message == 'inactive'


def test_images_that_the_network_refused_are_counted():
    health = Health(state='active', refused=3)
    alone = status_of('n: depth', 'cpu', health, None)
    together = summary_of('n: depth', {'left': alone}, {'left': None}, health, 1)
    for status in (alone, together):
        assert {v.key: v.value for v in status.values}['refused_by_network'] == '3'
    unspoilt = status_of('n: depth', 'cpu', Health(state='active'), None)
    assert 'refused_by_network' not in {v.key for v in unspoilt.values}


def test_what_is_being_loaded_is_told_at_once():
    health = Health(state='configuring', loading='BUILDING or loading m.onnx, for 3 s')
    assert judge(health) == (OK, 'BUILDING or loading m.onnx, for 3 s')
