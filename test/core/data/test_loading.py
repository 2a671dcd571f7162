import pytest

torch = pytest.importorskip('torch')
cv2 = pytest.importorskip('cv2')

from ssd_depth_core.data.draws import EpochDraws, Shuffled  # noqa: E402
from ssd_depth_core.data.frame_reader import BrokenFrameError  # noqa: E402
from ssd_depth_core.data.loading import make_loader  # noqa: E402
from ssd_depth_core.data.triplets import TripletConfig, TripletDataset  # noqa: E402


@pytest.fixture
def load(street_set, folder_source):
    root, lines = street_set

    def load(num_workers, epochs=(0, 1), root=root, **config):
        dataset = TripletDataset(
            lines, folder_source(root), TripletConfig(size=(24, 40), noise=0.5, **config), root
        )
        draws = EpochDraws(Shuffled(num_frames=len(dataset), repeat=2), seed=5)
        loader = make_loader(dataset, draws, batch_size=4, num_workers=num_workers)
        batches = []
        for epoch in epochs:
            draws.go_to(epoch)
            batches.append(list(loader))
        return batches

    return load


def equal(batches, others):
    return all(
        all(torch.equal(batch[name], other[name]) for name in batch)
        for batch, other in zip(batches, others, strict=True)
    )


def test_the_number_of_workers_changes_no_bit(load):
    alone = load(0)
    assert [len(epoch) for epoch in alone] == [4, 4]  # 18 draws, the last two left out
    for num_workers in (1, 2):
        for epoch, other in zip(alone, load(num_workers), strict=True):
            assert equal(epoch, other)


@pytest.mark.parametrize('num_workers', [0, 1])
def test_reading_draws_nothing_from_the_training(load, num_workers):
    before = torch.get_rng_state()
    load(num_workers)
    assert torch.equal(torch.get_rng_state(), before)


def test_two_epochs_differ_and_come_back_the_same(load):
    first, second = load(0)
    assert not equal(first, second)
    (again,) = load(1, epochs=(1,))
    assert equal(second, again)


def test_a_run_resumes_in_the_middle_of_an_epoch(load, street_set, folder_source):
    ((_, _, *rest),) = load(0, epochs=(1,))
    root, lines = street_set
    dataset = TripletDataset(
        lines, folder_source(root), TripletConfig(size=(24, 40), noise=0.5), root
    )
    draws = EpochDraws(Shuffled(num_frames=len(dataset), repeat=2), seed=5)
    draws.go_to(epoch=1, start=2 * 4)
    loader = make_loader(dataset, draws, batch_size=4, num_workers=1)
    assert len(loader) == 2
    assert equal(list(loader), rest)


def test_a_broken_picture_is_named_through_the_worker(load, tmp_path):
    with pytest.raises(BrokenFrameError, match=f'picture not found at {tmp_path}'):
        load(1, root=tmp_path)


def test_workers_leave_threads_to_each_other(street_set, folder_source):
    class Threads(torch.utils.data.Dataset):
        def __getitem__(self, draw):
            return {'threads': torch.tensor((cv2.getNumThreads(), torch.get_num_threads()))}

    (batch,) = make_loader(Threads(), [(0, 0)], batch_size=1, num_workers=1)
    assert batch['threads'].tolist() == [[1, 1]]
