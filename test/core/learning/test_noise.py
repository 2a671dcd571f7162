import pytest

torch = pytest.importorskip('torch')
accelerate = pytest.importorskip('accelerate')

from ssd_depth_core.learning.noise import gather_noise, restore_noise  # noqa: E402


def test_noise_comes_back_where_it_was_kept():
    torch.manual_seed(3)
    noise = gather_noise(accelerate.Accelerator(cpu=True))
    assert noise['cpu'].shape == (1, len(torch.get_rng_state()))
    drawn = torch.rand(5)
    torch.rand(2)
    restore_noise(noise, rank=0)
    assert torch.equal(torch.rand(5), drawn)


def test_every_process_gets_its_own_noise_back():
    states, drawn = [], []
    for seed in (5, 6):
        torch.manual_seed(seed)
        states.append(torch.get_rng_state())
        drawn.append(torch.rand(5))
    for rank in (0, 1):
        restore_noise({'cpu': torch.stack(states)}, rank)
        assert torch.equal(torch.rand(5), drawn[rank])


def test_a_process_that_was_not_there_keeps_its_own_noise():
    noise = gather_noise(accelerate.Accelerator(cpu=True))
    torch.manual_seed(4)
    own = torch.rand(5)
    torch.manual_seed(4)
    restore_noise(noise, rank=1)
    assert torch.equal(torch.rand(5), own)
