from dataclasses import replace

import cv2
import numpy as np
import pytest

pytest.importorskip('PIL')

from ssd_depth_core.data.appearances import TranslatedPictures, TwinPictures
from ssd_depth_core.data.frame_reader import BrokenFrameError
from ssd_depth_core.data.manifest import ManifestLine

RNG = np.random.default_rng(0)
SIZE = (24, 40)


def manifest_line(frame, condition, level, **changes):
    values = {
        'source_id': f'day-clear-{frame}',
        'condition': condition,
        'path': f'{condition}/{frame}-{level}.png',
        'translator': 'procedural',
        'seed': 0,
        'scores': {'trust': level / 100},
        'accepted': True,
    }
    return ManifestLine(**{**values, **changes})


@pytest.fixture
def translated(tmp_path):
    """Write the flat pictures that lines name; their grey is the last number of the name."""

    def write(*lines, **options):
        for line in lines:
            path = tmp_path / line.path
            path.parent.mkdir(exist_ok=True)
            level = int(path.stem.rpartition('-')[2])
            cv2.imwrite(str(path), np.full((36, 60, 3), level, np.uint8))
        return TranslatedPictures(tmp_path, list(lines), **options)

    return write


def test_a_manifests_pictures_are_found_by_frame_and_condition(translated, street_set):
    _, lines = street_set
    pictures = translated(manifest_line(1, 'night', 20), manifest_line(1, 'fog', 90))
    assert pictures.conditions_of(lines[1]) == {'night', 'fog'}
    assert pictures.conditions_of(lines[2]) == set()
    night = pictures.read(lines[1], 'night', SIZE, RNG)
    assert night.picture.shape == (*SIZE, 3)
    assert (night.picture == 20).all()
    assert night.weight == 1


def test_several_pictures_of_one_condition_are_drawn_from(translated, street_set):
    _, lines = street_set
    pictures = translated(manifest_line(1, 'night', 20), manifest_line(1, 'night', 30))
    drawn = [pictures.read(lines[1], 'night', SIZE, RNG).picture[0, 0, 0] for _ in range(40)]
    assert 10 < drawn.count(20) < 30
    assert drawn.count(20) + drawn.count(30) == 40


def test_rejected_pictures_are_left_out_unless_asked_for(translated, street_set):
    _, lines = street_set
    refused = manifest_line(1, 'night', 20, accepted=False)
    assert translated(refused).conditions_of(lines[1]) == set()
    assert translated(refused, only_accepted=False).conditions_of(lines[1]) == {'night'}


def test_a_score_weighs_a_picture(translated, street_set):
    _, lines = street_set
    pictures = translated(manifest_line(1, 'night', 20), weight_by='trust')
    assert pictures.read(lines[1], 'night', SIZE, RNG).weight == 0.2


@pytest.mark.parametrize('scores', [{}, {'trust': 1.2}, {'trust': -0.5}])
def test_a_score_that_is_no_weight_is_refused(translated, scores):
    line = manifest_line(1, 'night', 20, scores=scores)
    with pytest.raises(ValueError, match='weight_by must name a score in .*night/1-20.png has'):
        translated(line, weight_by='trust')


def test_a_missing_translated_picture_is_named(translated, street_set, tmp_path):
    _, lines = street_set
    pictures = translated(manifest_line(1, 'night', 20))
    (tmp_path / 'night' / '1-20.png').unlink()
    with pytest.raises(BrokenFrameError, match='picture not found at .*night/1-20.png'):
        pictures.read(lines[1], 'night', SIZE, RNG)


def test_twins_are_the_same_instant_of_the_same_street(street_set, folder_source):
    root, lines = street_set
    twins = TwinPictures(lines, folder_source(root))
    day = next(line for line in lines if line.id == 'day-clear-2')
    assert twins.conditions_of(day) == {'night', 'day-rain'}
    night = twins.read(day, 'night', SIZE, RNG)
    assert night.picture.mean() == pytest.approx(120 / 4, abs=1)
    assert night.weight == 1


def test_what_differs_in_street_camera_or_time_is_no_twin(street_set, folder_source):
    root, lines = street_set
    day = lines[2]
    night = next(line for line in lines if line.id == 'night-2')
    others = (
        replace(night, scene='street-0004-night'),
        replace(night, channel='CAM_BACK'),
        replace(night, timestamp_us=night.timestamp_us + 1),
    )
    for other in others:
        twins = TwinPictures([day, other], folder_source(root))
        assert twins.conditions_of(day) == set()
    assert TwinPictures([night], folder_source(root)).conditions_of(day) == {'night'}


def test_night_rain_is_not_taken_for_rain(street_set, folder_source):
    root, lines = street_set
    wet = replace(lines[2], scene='street-0003-night-rain', condition='night-rain')
    assert TwinPictures([wet], folder_source(root)).conditions_of(lines[2]) == {'night-rain'}
