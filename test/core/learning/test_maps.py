import pytest

torch = pytest.importorskip('torch')

from ssd_depth_core.learning.maps import resized, unflipped  # noqa: E402


def test_only_mirrored_samples_are_mirrored_back():
    values = torch.arange(6.0).view(2, 1, 1, 3)
    back = unflipped(values, torch.tensor([False, True]))
    assert back.flatten().tolist() == [0, 1, 2, 5, 4, 3]


def test_a_map_of_the_size_is_left_alone_and_another_is_interpolated():
    values = torch.tensor([[[[0.0, 4.0]]]])
    assert resized(values, (1, 2)) is values
    assert resized(values, (1, 4)).flatten().tolist() == [0, 1, 3, 4]  # at pixel centres
