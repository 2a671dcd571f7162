import cv2
import numpy as np
import pytest
from ssd_depth_core.gdt.image_prompts import ImagePrompts


@pytest.fixture
def folder(tmp_path):
    (tmp_path / 'scene').mkdir()
    for number, name in enumerate(('b.jpg', 'a.PNG', 'scene/c.jpeg')):
        ok, data = cv2.imencode('.png', np.full((8, 8, 3), 10 * number, np.uint8))
        assert ok
        (tmp_path / name).write_bytes(data.tobytes())
    (tmp_path / 'licence.txt').write_text('not a photograph')
    return tmp_path


def test_photographs_are_listed_sorted_and_by_suffix(folder):
    assert ImagePrompts(folder).names == ['a.PNG', 'b.jpg', 'scene/c.jpeg']


def test_a_seed_draws_one_photograph_and_all_get_their_turn(folder):
    prompts = ImagePrompts(folder)
    drawn = [prompts.draw(np.random.default_rng(seed)) for seed in range(30)]
    assert drawn == [prompts.draw(np.random.default_rng(seed)) for seed in range(30)]
    assert set(drawn) == set(prompts.names)


def test_the_record_tells_folders_apart_by_names(folder):
    record = ImagePrompts(folder).record
    # printf 'a.PNG\0b.jpg\0scene/c.jpeg' | sha256sum
    assert record == {
        'number': 3,
        'names_sha256': '1ca6cb7c3f5c28551fdfafd47edb67544f16a12a565d26b8a07df9eb3f76b883',
    }
    (folder / 'licence.txt').unlink()
    (folder / 'b.jpg').write_bytes(b'other pixels')
    assert ImagePrompts(folder).record == record
    (folder / 'b.jpg').rename(folder / 'd.jpg')
    renamed = ImagePrompts(folder).record
    assert renamed['number'] == 3
    assert renamed['names_sha256'] != record['names_sha256']
    (folder / 'd.jpg').unlink()
    assert ImagePrompts(folder).record['number'] == 2


def test_a_photograph_is_read_as_rgb(folder):
    picture = np.zeros((4, 6, 3), np.uint8)
    picture[..., 2] = 200  # red in OpenCV's order
    cv2.imwrite(str(folder / 'red.png'), picture)
    np.testing.assert_array_equal(ImagePrompts(folder).read('red.png'), picture[..., ::-1])


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='nowhere; name a folder'):
        ImagePrompts(tmp_path / 'nowhere')


def test_folder_without_photographs_is_named(tmp_path):
    (tmp_path / 'notes.txt').write_text('')
    with pytest.raises(ValueError, match=f'{tmp_path} must hold a photograph'):
        ImagePrompts(tmp_path)


def test_damaged_photograph_is_named(folder):
    (folder / 'b.jpg').write_bytes(b'no picture')
    with pytest.raises(ValueError, match='b.jpg is no picture'):
        ImagePrompts(folder).read('b.jpg')
