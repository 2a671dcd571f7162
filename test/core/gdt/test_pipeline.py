from dataclasses import replace

import numpy as np
import pytest

cv2 = pytest.importorskip('cv2')

from ssd_depth_core.data.frame_reader import FrameReader  # noqa: E402
from ssd_depth_core.data.index import IndexLine  # noqa: E402
from ssd_depth_core.exact_depth import encode_exact_depth  # noqa: E402
from ssd_depth_core.gdt.acceptance import Verdict  # noqa: E402
from ssd_depth_core.gdt.depth_estimator import EstimatedDepth  # noqa: E402
from ssd_depth_core.gdt.exact_frames import ExactDepth  # noqa: E402
from ssd_depth_core.gdt.jobs import plan_batches  # noqa: E402
from ssd_depth_core.gdt.pipeline import Failure, Made, Pipeline  # noqa: E402
from ssd_depth_core.gdt.translator import Translation  # noqa: E402

SIZE = (12, 20)
LEVELS = {'a': 10, 'b': 20, 'c': 30}  # of the frames' grey
ADDED = {'night': 100, 'fog': 200}


def frame(name, exact=False):
    return IndexLine(
        id=name,
        scene='scene',
        channel='CAM_FRONT',
        condition='day-clear',
        timestamp_us=0,
        image=f'{name}.png',
        size=SIZE,
        K=((10.0, 0.0, 9.5), (0.0, 10.0, 5.5), (0.0, 0.0, 1.0)),
        speed_mps=None,
        exact_depth=f'{name}_depth.png' if exact else None,
    )


def batch_of(names='abc', variants=1, **changes):
    (batch,) = plan_batches(map(frame, names), ('night', 'fog'), variants, len(names), 0)
    return replace(batch, **changes)


class Source:
    """Grey frames; names that it does not know are broken."""

    def read_image(self, line):
        if line.id not in LEVELS:
            raise ValueError(f'{line.image} was cut short')
        return np.full((*SIZE, 3), LEVELS[line.id], np.uint8)


class Parts:
    """Stand for captioner, estimator, translator and gate, and note what each is asked."""

    name = 'painter'

    def __init__(self):
        self.captioned, self.estimated, self.translated, self.judged = [], [], [], []

    def caption(self, pictures):
        self.captioned.append([int(picture[0, 0, 0]) for picture in pictures])
        return [f'a street of grey {level}' for level in self.captioned[-1]]

    def estimate(self, pictures, K):
        assert all(matrix.shape == (3, 3) for matrix in K)
        self.estimated.append([int(picture[0, 0, 0]) for picture in pictures])
        return [
            EstimatedDepth(picture[..., 0].astype(np.float32), metric=False)
            for picture in pictures
        ]

    def translate(self, requests):
        self.translated.append(list(requests))
        return [self.paint(request) for request in requests]

    def paint(self, request):
        picture = request.picture + np.uint8(ADDED[request.condition])
        picture[..., 2] = 7  # blue
        return Translation(picture=picture, prompt=request.caption, image_prompt='x.jpg')

    def judge(self, requests, translations):
        self.judged.append(list(zip(requests, translations, strict=True)))
        good = [request.depth.inverse_depth[0, 0] != 20 for request in requests]
        return [Verdict(ok, {'trust': 0.5}, () if ok else ('grey',), ('chroma',)) for ok in good]


@pytest.fixture
def parts():
    return Parts()


@pytest.fixture
def pipeline(parts):
    def make(**changes):
        kinds = ('captioner', 'depth', 'translator', 'gate')
        values = {
            **dict.fromkeys(kinds, parts),
            'reader': FrameReader(Source(), 'area'),
            'models': {'painter': 'v1'},
            'size': None,
        }
        return Pipeline(**{**values, **changes})

    return make


def picture_of(made):
    return cv2.imdecode(np.frombuffer(made.png, np.uint8), cv2.IMREAD_COLOR_RGB)


def test_each_picture_comes_with_its_line_in_the_order_of_the_jobs(pipeline):
    batch = batch_of()
    results = pipeline().make(batch)
    assert [made.line.path for made in results] == [job.path for job in batch.jobs]
    for job, made in zip(batch.jobs, results, strict=True):
        level = LEVELS[job.frame.id]
        line = made.line
        assert (line.source_id, line.condition, line.seed) == (
            job.frame.id,
            job.condition,
            job.seed,
        )
        assert (line.translator, line.models) == ('painter', {'painter': 'v1'})
        assert line.caption == line.prompt == f'a street of grey {level}'
        assert line.image_prompt == 'x.jpg'
        assert line.scores == {'trust': 0.5}
        # A rejected picture is kept, and the line says why.
        assert (line.accepted, line.reasons) == ((True, ()) if level != 20 else (False, ('grey',)))
        assert line.unmeasured == ('chroma',)
        value = level + ADDED[job.condition]
        np.testing.assert_array_equal(picture_of(made), np.full((*SIZE, 3), (value, value, 7)))


def test_a_frame_is_captioned_and_its_depth_estimated_once(parts, pipeline):
    pipeline().make(batch_of(variants=2))
    assert parts.captioned == parts.estimated == [[10, 20, 30]]
    asked = [[request.condition for request in requests] for requests in parts.translated]
    assert asked == [['night'] * 3, ['night'] * 3, ['fog'] * 3, ['fog'] * 3]
    assert [len(judged) for judged in parts.judged] == [6, 6]
    seeds = {request.seed for requests in parts.translated for request in requests}
    assert len(seeds) == 12


def test_what_is_there_is_computed_beside_what_is_missing_and_not_given_again(parts, pipeline):
    whole = {made.line.path: made for made in pipeline().make(batch_of())}
    parts.translated.clear()
    (made,) = pipeline().make(batch_of(missing=frozenset({'night/b.png'})))
    assert made == whole['night/b.png']
    assert [len(requests) for requests in parts.translated] == [3, 3]


def test_known_captions_are_kept_and_unknown_ones_asked_for_in_the_whole_batch(parts, pipeline):
    known = {'a': 'one', 'b': 'two', 'c': 'three'}
    results = pipeline().make(batch_of(captions=known))
    assert parts.captioned == []
    assert [made.line.caption for made in results] == ['one', 'two', 'three'] * 2
    results = pipeline().make(batch_of(captions={'b': 'two'}))
    assert parts.captioned == [[10, 20, 30]]
    captions = ['a street of grey 10', 'two', 'a street of grey 30']
    assert [made.line.caption for made in results] == captions * 2


def test_a_source_that_cannot_be_read_is_named_and_the_others_are_made(parts, pipeline):
    batch = batch_of('axc')
    results = pipeline().make(batch)
    assert [isinstance(result, Made) for result in results] == [True, False, True] * 2
    assert results[1] == Failure(
        source_id='x',
        condition='night',
        path='night/x.png',
        unreadable=True,
        reason='x.png was cut short',
    )
    assert results[4] == replace(results[1], condition='fog', path='fog/x.png')
    assert parts.captioned == [[10, 30]]


def test_nothing_is_computed_for_broken_sources_alone(parts, pipeline):
    missing = frozenset({'night/x.png', 'fog/x.png'})
    results = pipeline().make(batch_of('axc', missing=missing))
    assert [result.path for result in results] == ['night/x.png', 'fog/x.png']
    assert parts.captioned == parts.estimated == parts.translated == []


def test_an_unusable_picture_is_named_and_never_judged(parts, pipeline, monkeypatch):
    monkeypatch.setattr(
        parts,
        'paint',
        lambda request: 'NaN' if request.picture[0, 0, 0] == 10 else Parts.paint(parts, request),
    )
    results = pipeline().make(batch_of())
    assert [isinstance(result, Made) for result in results] == [False, True, True] * 2
    assert (results[0].unreadable, results[0].reason) == (False, 'NaN')
    assert [len(judged) for judged in parts.judged] == [2, 2]


@pytest.mark.parametrize('size', [None, (6, 10)])
@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_a_frame_whose_depth_is_not_finite_is_named_and_the_others_are_made(
    parts, pipeline, monkeypatch, size, value
):
    see = parts.estimate

    def half_blind(pictures, K):
        estimates = see(pictures, K)
        estimates[1].inverse_depth[0, 1] = value
        return estimates

    whole = pipeline(size=size).make(batch_of())
    parts.translated.clear()
    monkeypatch.setattr(parts, 'estimate', half_blind)
    results = pipeline(size=size).make(batch_of())
    assert [isinstance(result, Made) for result in results] == [True, False, True] * 2
    assert (results[1].path, results[1].unreadable) == ('night/b.png', False)
    assert "its frame's depth has values that are not finite; depth.dtype" in results[1].reason
    assert [results[0], results[2]] == [whole[0], whole[2]]
    assert [len(requests) for requests in parts.translated] == [2, 2]


def test_frames_are_seen_whole_and_their_pictures_made_at_the_size_that_is_asked_for(
    parts, pipeline, monkeypatch
):
    seen = []
    for what in ('caption', 'estimate'):
        see = getattr(parts, what)
        monkeypatch.setattr(
            parts,
            what,
            lambda pictures, *more, see=see: (
                seen.extend(picture.shape for picture in pictures) or see(pictures, *more)
            ),
        )
    results = pipeline(size=(6, 10)).make(batch_of())
    assert seen == [(*SIZE, 3)] * 6
    request = parts.translated[0][0]
    assert request.picture.shape == (6, 10, 3)
    assert request.depth.inverse_depth.shape == (6, 10)
    np.testing.assert_allclose(request.K, ((5, 0, 4.5), (0, 5, 2.5), (0, 0, 1)))
    judged, translation = parts.judged[0][0]
    assert judged is request
    # What the translator answered is what lies on the disk, resampled no more.
    np.testing.assert_array_equal(picture_of(results[0]), translation.picture)


@pytest.mark.parametrize('size', [(5, 9), (18, 31)])
def test_depth_at_another_size_has_no_values_between_near_and_far(
    parts, pipeline, monkeypatch, size
):
    steps = np.ones(SIZE, np.float32)
    steps[5:, 7:] = 100

    def see(pictures, K):
        return [EstimatedDepth(steps, metric=True) for _ in pictures]

    monkeypatch.setattr(parts, 'estimate', see)
    pipeline(size=size).make(batch_of('a'))
    depth = parts.translated[0][0].depth
    assert depth.metric
    assert depth.inverse_depth.shape == size
    assert set(np.unique(depth.inverse_depth)) == {1, 100}
    assert depth.inverse_depth[0, 0] == 1
    assert depth.inverse_depth[-1, -1] == 100


def test_exact_depth_is_read_in_place_of_an_estimate(parts, pipeline, tmp_path):
    depth = np.full(SIZE, 4.0, np.float32)
    depth[0], depth[1] = np.inf, np.nan
    cv2.imwrite(str(tmp_path / 'a_depth.png'), encode_exact_depth(depth))
    frames = [frame('a', exact=True), frame('b', exact=True), frame('c')]
    (batch,) = plan_batches(frames, ('night',), 1, 3, 0)
    made, missing, without = pipeline(depth=ExactDepth(tmp_path)).make(batch)
    assert isinstance(made, Made)
    assert parts.estimated == []
    seen = parts.translated[0][0].depth
    assert seen.metric
    assert [seen.inverse_depth[row, 0] for row in range(3)] == [0, 0, 0.25]
    assert 'b_depth.png is missing' in missing.reason
    assert 'frame c has no exact depth; set depth.kind' in without.reason
