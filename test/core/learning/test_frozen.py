import pytest

torch = pytest.importorskip('torch')

from ssd_depth_core.learning.frozen import Frozen  # noqa: E402


class Owner(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.own = torch.nn.Linear(2, 2)
        self.teacher = Frozen(torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Dropout()))


def test_what_is_frozen_is_neither_trained_nor_saved():
    owner = Owner()
    assert set(owner.state_dict()) == {'own.weight', 'own.bias'}
    assert len(list(owner.parameters())) == 2
    assert not any(p.requires_grad for p in owner.teacher.module.parameters())
    owner.load_state_dict(owner.state_dict(), strict=True)


def test_it_stays_in_evaluation_mode():
    owner = Owner().train()
    assert owner.training
    assert not any(part.training for part in owner.teacher.module.modules())


def test_it_moves_along():
    owner = Owner().to(torch.float64).to('meta')
    for parameter in owner.teacher.module.parameters():
        assert (parameter.dtype, parameter.device.type) == (torch.float64, 'meta')
