from dataclasses import replace

import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('diffusers')

from ssd_depth_core.gdt.small_pipeline import build_autoencoder, SmallPipelineConfig  # noqa: E402
from ssd_depth_core.learning.patch_components import fit_encoder  # noqa: E402
import torch.nn.functional as F  # noqa: E402

CONFIG = SmallPipelineConfig(
    height=16, width=32, autoencoder_width=48, latent_channels=48, unet_channels=(8, 16)
)


def pictures(count=6):
    """Noise that is smooth, as pictures are."""
    coarse = torch.rand(count, 3, 4, 8, generator=torch.Generator().manual_seed(0))
    fine = 0.3 * torch.rand(count, 3, 16, 32, generator=torch.Generator().manual_seed(1))
    return (F.interpolate(coarse, (16, 32), mode='bilinear') + fine) / 1.3 * 2 - 1


def encoded(config, fitted, shown):
    autoencoder = build_autoencoder(config)
    fit_encoder(autoencoder, fitted)
    with torch.no_grad():
        return autoencoder.encode(shown).latents, autoencoder


def patches_of(shown):
    """Cut 4x4 patches out, (B * L, 48)."""
    return F.unfold(shown, 4, stride=4).transpose(1, 2).reshape(-1, 48)


def rows_of(latents):
    return latents.flatten(2).transpose(1, 2).reshape(-1, latents.shape[1])


def test_latents_are_the_principal_components_of_patches():
    shown = pictures()
    latents, _ = encoded(replace(CONFIG, latent_channels=5), shown, shown)
    assert latents.shape == (6, 5, 4, 8)
    patches = patches_of(shown).double()
    patches = patches - patches.mean(0)
    values, vectors = torch.linalg.eigh(torch.cov(patches.T))
    expected = patches @ vectors.flip(1)[:, :5]
    found = rows_of(latents).double()
    for number in range(5):
        likeness = torch.corrcoef(torch.stack((found[:, number], expected[:, number])))[0, 1]
        assert abs(likeness) > 0.999
    deviations = (values.flip(0)[:5] / values[-1]) ** 0.25
    assert torch.allclose(found.std(0), deviations, rtol=1e-3)
    assert torch.allclose(found.mean(0), torch.zeros(5, dtype=torch.double), atol=1e-4)


def test_all_components_together_lose_nothing():
    shown = pictures()
    latents, _ = encoded(CONFIG, shown, shown)
    ones = torch.ones(len(rows_of(latents)), 1)
    known = torch.cat((rows_of(latents), ones), dim=1).double()
    patches = patches_of(shown).double()
    found = known @ torch.linalg.lstsq(known, patches).solution
    assert torch.allclose(found, patches, atol=1e-3)


def test_encoder_is_not_trained_and_its_decoder_is():
    _, autoencoder = encoded(CONFIG, pictures(), pictures())
    assert not any(parameter.requires_grad for parameter in autoencoder.encoder.parameters())
    assert all(parameter.requires_grad for parameter in autoencoder.decoder.parameters())


def test_flat_pictures_have_no_second_component():
    flat = torch.linspace(-1, 1, 5)[:, None, None, None].expand(5, 3, 16, 32)
    latents, _ = encoded(replace(CONFIG, latent_channels=3), flat, flat)
    assert latents[:, 0].std() == pytest.approx(1, rel=0.02)
    assert latents[:, 1:].abs().max() < 1e-3
