import os
import pickle
from types import SimpleNamespace

import pytest

pytest.importorskip('cv2')
torch = pytest.importorskip('torch')

from training._ray_workers import _make, _Worker  # noqa: E402

ROW = {'batch': pickle.dumps('a batch')}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where the driver stands; the worker starts elsewhere, and the test's folder comes back."""
    (tmp_path / 'driver').mkdir()
    (tmp_path / 'worker').mkdir()
    monkeypatch.chdir(tmp_path / 'worker')
    return str(tmp_path / 'driver')


def answer(worker):
    return pickle.loads(worker(ROW)['result'])


def test_models_are_built_once_and_in_the_driver_s_folder(folder):
    built = []

    def make_pipeline(device):
        built.append((device, os.getcwd()))
        return SimpleNamespace(make=lambda batch: [f'pictures of {batch}'])

    worker = _Worker(make_pipeline, 'cuda', folder)
    assert answer(worker) == answer(worker) == ['pictures of a batch']
    assert built == [('cuda', folder)]


def test_a_folder_that_a_node_lacks_is_named(folder):
    error = answer(_Worker(lambda device: None, 'cpu', f'{folder}/gone'))
    assert isinstance(error, FileNotFoundError)
    assert f'{folder}/gone' in str(error)


@pytest.mark.parametrize(
    ('raised', 'kind', 'words'),
    [
        (ValueError('size is odd'), ValueError, 'size is odd'),
        (FileNotFoundError('no model'), FileNotFoundError, 'no model'),
        (ModuleNotFoundError("No module named 'x'"), ValueError, "library: No module named 'x'"),
        (MemoryError('one picture is too much'), MemoryError, 'one picture is too much'),
        (torch.OutOfMemoryError('CUDA is full.\nA page'), MemoryError, 'CUDA is full.'),
    ],
)
@pytest.mark.parametrize('when', ['loading', 'making'])
def test_what_stops_the_run_is_handed_over_in_one_line(folder, raised, kind, words, when):
    def stop(_):
        raise raised

    make_pipeline = stop if when == 'loading' else lambda device: SimpleNamespace(make=stop)
    error = answer(_Worker(make_pipeline, 'cpu', folder))
    assert type(error) is kind
    assert str(error).endswith(words)
    assert '\n' not in str(error)


@pytest.mark.parametrize(
    ('resources', 'num_workers', 'device', 'message'),
    [
        ({'CPU': 4.0}, 4, 'cpu', 'there are 4 CPU cores for 4 workers and the reading'),
        ({'CPU': 1.0}, None, None, 'there are 1 CPU cores for 1 workers'),
        ({'CPU': 2.0, 'GPU': 2.0}, None, None, 'there are 2 CPU cores for 2 workers'),
        ({'CPU': 9.0, 'GPU': 1.0}, 2, 'cuda', 'there are 1 GPUs for 2 workers'),
    ],
)
def test_a_cluster_too_small_for_the_workers_is_named(resources, num_workers, device, message):
    ray = SimpleNamespace(cluster_resources=lambda: resources)
    with pytest.raises(ValueError, match=message):
        next(_make(ray, [], lambda device: None, num_workers, device))
