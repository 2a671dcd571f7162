import numpy as np
import pytest

from bench import gdt_gate
from bench.gdt_gate import auroc, interval, Judged, row


def judged(street, trust, shown='faithful', accepted=True):
    return Judged(
        street=street, reference='exact', shown=shown, condition='night', pixels=0,
        accepted=accepted, scores={'trust': trust},
    )  # fmt: skip


def test_area_is_the_share_of_pairs_in_order():
    assert auroc(np.array([0.9, 0.8]), np.array([0.1, 0.85])) == 0.75
    assert auroc(np.array([0.5]), np.array([0.5])) == 0.5
    assert auroc(np.array([0.9]), np.array([0.1, 0.2])) == 1.0
    assert np.isnan(auroc(np.array([0.9]), np.array([])))


def test_interval_of_streets_that_agree_is_a_point():
    faithful = [judged(street, 0.9) for street in range(5)]
    broken = [judged(street, 0.1, 'moved car') for street in range(5)]
    assert interval(faithful, broken, seed=0) == (1.0, 1.0)


def test_interval_holds_the_area_of_streets_that_differ():
    rng = np.random.default_rng(0)
    faithful = [judged(street, 0.5 + rng.normal(0, 0.2)) for street in range(30)]
    broken = [judged(street, 0.3 + rng.normal(0, 0.2), 'moved car') for street in range(30)]
    low, high = interval(faithful, broken, seed=0)
    area = auroc(*(np.array([e.scores['trust'] for e in some]) for some in (faithful, broken)))
    assert low < area < high
    assert high - low < 0.4


def test_one_street_has_no_interval():
    assert interval([judged(1, 0.9)], [judged(1, 0.1)], seed=0) == (None, None)


def test_a_row_counts_streets_pictures_and_what_was_rejected():
    faithful = [judged(street, 0.9) for street in range(4)]
    broken = [judged(street // 2, 0.1, 'moved car', accepted=street > 2) for street in range(4)]
    found = row('exact', 'moved car', 'night', faithful, broken)
    assert (found['streets'], found['pictures'], found['rejected']) == (2, 4, 0.75)
    assert found['auroc'] == 1.0
    passed = row('exact', 'faithful', 'night', faithful, faithful)
    assert passed['auroc'] is None
    assert passed['rejected'] == 0.0


@pytest.fixture(scope='module')
def frame(tmp_path_factory):
    """A frame of a street in which a pole can be taken away, rendered and read again."""
    from bench.twin_frames import twin_frame

    folder = tmp_path_factory.mktemp('frames')
    return twin_frame(310003, folder), twin_frame(310003, folder)


@pytest.mark.slow
def test_broken_worlds_change_what_they_say_and_files_keep_all(frame):
    made, read = frame
    assert made.broken.keys() == read.broken.keys()
    assert made.broken
    assert made.twins.keys() == read.twins.keys()
    for kind, thing in made.broken.items():
        assert thing.pixels == read.broken[kind].pixels >= gdt_gate.LEAST_PIXELS[kind]
        assert thing.depth_m <= gdt_gate.FARTHEST_M[kind]
        twin, faithful = made.twins[kind, 'fog'], made.twins['faithful', 'fog']
        change = np.abs(twin.astype(int) - faithful).mean(-1)
        assert change[thing.changed].mean() > 3 * change[~thing.changed].mean()
        np.testing.assert_array_equal(twin, read.twins[kind, 'fog'])
