from itertools import pairwise
import math
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip('torch')

from ssd_depth_core.geometry.warp import warp  # noqa: E402
from ssd_depth_core.runtime.images import read_image  # noqa: E402

FOCAL = 30.0
SIZE = HEIGHT, WIDTH = 13, 21
CENTRE = 10.0, 6.0  # column, row of the middle pixel, through which the optical axis goes


@pytest.fixture
def picture():
    generator = torch.Generator().manual_seed(0)
    return torch.rand(1, 3, *SIZE, generator=generator, dtype=torch.float64)


def intrinsics():
    K = ((FOCAL, 0, CENTRE[0]), (0, FOCAL, CENTRE[1]), (0, 0, 1))
    return torch.tensor(K, dtype=torch.float64)[None]


def moved(x=0.0, y=0.0, z=0.0):
    T = torch.eye(4, dtype=torch.float64)[None].clone()
    T[0, :3, 3] = torch.tensor((x, y, z))
    return T


def everywhere(depth):
    return torch.full((1, 1, *SIZE), depth, dtype=torch.float64)


def ramps():
    """Give a picture whose two channels are the column and the row: what a warp samples."""
    y, x = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing='ij')
    return torch.stack((x, y))[None].double()


@pytest.mark.parametrize('depth', [0.5, 80.0, math.inf])
def test_no_motion_returns_the_picture(picture, depth):
    torch.testing.assert_close(warp(picture, everywhere(depth), intrinsics(), moved()), picture)


def test_a_step_aside_shifts_by_the_disparity(picture):
    # f t / Z = 30 * 0.5 / 5 = 3 pixels: what the target has at u, the source has at u + 3.
    found = warp(picture, everywhere(5.0), intrinsics(), moved(x=0.5))
    torch.testing.assert_close(found[..., :-3], picture[..., 3:])
    assert (found[..., -3:] == 0).all()


def test_half_a_pixel_is_the_mean_of_two(picture):
    found = warp(picture, everywhere(30.0), intrinsics(), moved(y=-0.5))
    expected = (picture[..., 1:, :] + picture[..., :-1, :]) / 2
    torch.testing.assert_close(found[..., 1:, :], expected)
    # The first row is sampled at -1/2: half of it is black.
    torch.testing.assert_close(found[..., 0, :], picture[..., 0, :] / 2)


def test_a_border_goes_on_where_asked_for(picture):
    found = warp(picture, everywhere(5.0), intrinsics(), moved(x=0.5), padding='border')
    torch.testing.assert_close(found[..., -3:], picture[..., -1:].expand(-1, -1, -1, 3))


@pytest.mark.parametrize('ahead', [-2.0, 1.0])
def test_a_step_ahead_magnifies_a_wall(ahead):
    # Points come nearer by the step: seen from there, the wall at 10 m grows by 10 / (10 - step).
    found = warp(ramps(), everywhere(10.0), intrinsics(), moved(z=-ahead))
    centre = torch.tensor(CENTRE, dtype=torch.float64)[None, :, None, None]
    expected = centre + (ramps() - centre) * 10 / (10 - ahead)
    limit = torch.tensor((WIDTH - 1, HEIGHT - 1))[None, :, None, None]
    inside = ((expected >= 0) & (expected <= limit)).all(1)[0]
    assert inside.sum() >= 0.75 * inside.numel()  # growing pushes the border out
    torch.testing.assert_close(found[0, :, inside], expected[0, :, inside])


def test_near_and_far_move_by_their_own_disparity():
    depth = everywhere(math.inf)
    depth[..., 3, 4], depth[..., 5, 6] = 15.0, 5.0
    found = warp(ramps(), depth, intrinsics(), moved(x=0.5))
    expected = ramps()[0, 0]
    expected[3, 4] += 1
    expected[5, 6] += 3
    torch.testing.assert_close(found[0, 0], expected)


def test_a_roll_turns_the_picture_at_any_depth(picture):
    T = moved()
    T[0, 0, 0] = T[0, 1, 1] = -1
    for depth in (2.0, math.inf):
        found = warp(picture, everywhere(depth), intrinsics(), T)
        torch.testing.assert_close(found, picture.flip(2, 3))


def test_each_of_a_batch_has_its_own_camera(picture):
    K = torch.cat([intrinsics(), 2 * intrinsics()])
    K[1, 2, 2] = 1
    found = warp(
        picture.expand(2, -1, -1, -1),
        torch.cat([everywhere(5.0), everywhere(15.0)]),
        K,
        torch.cat([moved(x=0.5), moved(x=-1.0)]),
    )
    torch.testing.assert_close(found[0, ..., :-3], picture[0, ..., 3:])
    torch.testing.assert_close(found[1, ..., 4:], picture[0, ..., :-4])


@pytest.mark.parametrize('depth', [1.0, 2.0])
def test_behind_the_source_camera_is_outside(picture, depth):
    # 2 m ahead, at a wall 1 m or 2 m away; the pixel on the axis would mirror onto itself.
    inverse_depth = (1 / everywhere(depth)).requires_grad_()
    T = moved(z=-2.0).requires_grad_()
    found = warp(picture, 1 / inverse_depth, intrinsics(), T)
    assert (found == 0).all()
    found.sum().backward()
    assert (inverse_depth.grad == 0).all()
    assert (T.grad == 0).all()
    bordered = warp(picture, everywhere(depth), intrinsics(), T, padding='border')
    assert (bordered == picture[..., -1:, -1:]).all()


@pytest.mark.parametrize('depth', [0.0, -3.0, 1e-3])
def test_no_depth_counts_as_a_millimetre(picture, depth):
    # 30 * 1e-4 / 1e-3 = 3 pixels.
    found = warp(picture, everywhere(depth), intrinsics(), moved(x=1e-4))
    torch.testing.assert_close(found[..., :-3], picture[..., 3:])


def test_unknown_depth_is_outside(picture):
    depth = everywhere(5.0)
    depth[..., 4, 4] = math.nan
    found = warp(picture, depth, intrinsics(), moved(x=0.5))
    assert (found[..., 4, 4] == 0).all()
    torch.testing.assert_close(found[..., 5, :-3], picture[..., 5, 3:])


@pytest.mark.parametrize('padding', ['zeros', 'border'])
def test_gradients_agree_with_finite_differences(padding):
    generator = torch.Generator().manual_seed(0)
    options = {'generator': generator, 'dtype': torch.float64}
    source = torch.rand(2, 1, 4, 5, **options).requires_grad_()
    depth = (1 + torch.rand(2, 1, 4, 5, **options)).requires_grad_()
    K = torch.tensor(((4.0, 0, 2.1), (0, 4.2, 1.4), (0, 0, 1)), dtype=torch.float64)
    K = K.expand(2, 3, 3).clone().requires_grad_()
    T = (torch.eye(4, dtype=torch.float64) + 0.1 * torch.rand(2, 4, 4, **options)).requires_grad_()
    assert torch.autograd.gradcheck(lambda *x: warp(*x, padding), (source, depth, K, T))


def test_wide_pictures_are_hit_to_a_thousandth_of_a_pixel():
    columns = torch.arange(1600.0).expand(1, 1, 8, 1600)
    K = torch.tensor([[[1266.0, 0, 816.0], [0, 1266, 3], [0, 0, 1]]])
    found = warp(columns, torch.full((1, 1, 8, 1600), 7.0), K, torch.eye(4)[None])
    torch.testing.assert_close(found, columns, rtol=0, atol=1e-3)


def test_autocast_and_half_precision_change_nothing(picture):
    depth, K, T = everywhere(7.0).float(), intrinsics().float(), moved(x=0.3, z=0.1).float()
    expected = warp(picture.float(), depth, K, T)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        found = warp(picture.float(), depth, K, T)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    # 7 m is one of bfloat16's numbers; the picture was rounded before.
    rounded = picture.to(torch.bfloat16)
    found = warp(rounded, depth.to(torch.bfloat16), K, T)
    torch.testing.assert_close(found, warp(rounded.float(), depth, K, T), rtol=0, atol=0)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'source': torch.zeros(3, *SIZE)}, r'source must be \(B, C, H, W\), got \(3, 13, 21\)'),
        (
            {'depth': torch.ones(1, 1, 4, 4)},
            r'depth must be \(1, 1, 13, 21\) for a source of \(1, 3, 13, 21\), got \(1, 1, 4, 4\)',
        ),
        ({'K': torch.eye(3)}, r'K must be \(1, 3, 3\) .* got \(3, 3\)'),
        ({'K': torch.eye(4)[None]}, r'K must be \(1, 3, 3\) .* got \(1, 4, 4\)'),
        (
            {'T_source_target': torch.zeros(1, 3, 4)},
            r'T_source_target must be \(1, 4, 4\) .* got \(1, 3, 4\)',
        ),
        ({'padding': 'reflection'}, "padding must be 'zeros' or 'border', got 'reflection'"),
    ],
)
def test_what_does_not_fit_is_refused(picture, change, message):
    fitting = {
        'source': picture,
        'depth': everywhere(5.0),
        'K': intrinsics(),
        'T_source_target': moved(),
    }
    with pytest.raises(ValueError, match=message):
        warp(**{**fitting, **change})


REALDATA = Path(__file__).parents[4] / 'shared' / 'realdata'


def ddad_frames():
    """Give the pictures of scene 2 with depth, K and pose, camera by camera, in time order."""
    files = sorted((REALDATA / 'ddad_depth').glob('scene_02_*.npz'))
    frames = []
    for file in files:
        with np.load(file) as arrays:
            image = read_image(REALDATA / str(arrays['image']))
            column, row, depth = arrays['uvz'].T
            sparse = torch.full((1, 1, *image.shape[:2]), math.nan)
            sparse[0, 0, row.astype(int), column.astype(int)] = torch.from_numpy(depth)
            frames.append(
                {
                    'camera': file.stem.split('_')[3],
                    'image': torch.from_numpy(image).movedim(2, 0)[None] / 255,
                    'depth': sparse,
                    'K': torch.from_numpy(arrays['K']).float()[None],
                    'T_world_cam': arrays['T_world_cam'],
                }
            )
    return frames


def differences(target, source, T_world_source):
    """Give the mean L1 difference before and after the warp, where it stays in the picture."""
    T = np.linalg.inv(T_world_source) @ target['T_world_cam']
    with_mask = torch.cat([source['image'], torch.ones_like(target['depth'])], 1)
    warped = warp(with_mask, target['depth'], target['K'], torch.from_numpy(T).float()[None])
    inside = warped[0, 3] > 1 - 1e-4
    truth = target['image'][0, :, inside]
    return [(x[0, :3, inside] - truth).abs().mean().item() for x in (source['image'], warped)]


@pytest.mark.skipif(not REALDATA.is_dir(), reason='the real pictures are not on this machine')
def test_true_depth_and_poses_halve_the_difference_of_real_neighbours():
    frames = ddad_frames()
    pairs = [(a, b) for a, b in pairwise(frames) if a['camera'] == b['camera']]
    assert len(pairs) == 6 * 2
    raw, warped = np.array([differences(t, s, s['T_world_cam']) for t, s in pairs]).T
    assert (warped < raw).all()
    assert warped.mean() < 0.5 * raw.mean()
    # The proof that the right motion did it: the motion of the wrong direction does not.
    target, source = pairs[0]
    T_wrong = target['T_world_cam'] @ np.linalg.inv(source['T_world_cam']) @ target['T_world_cam']
    raw_front, wrong = differences(target, source, T_wrong)
    assert wrong > raw_front
