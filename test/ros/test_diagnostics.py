import math

from diagnostic_msgs.msg import DiagnosticStatus
import pytest
from ssd_depth_ros.diagnostics import Health, HOLD_S, status_of
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
