"""Weights of latent channels: what does not show in the picture does not count."""

import torch

from comfyui_emo.models.autoencoder import Autoencoder
from comfyui_emo.models.checkpoints.emo import load_model
from comfyui_emo.training.latent_weights import channel_weights


def test_a_channel_counts_as_much_as_its_error_shows():
    """The decoder's first layer reads channels 3 and 5 not at all, and channel 2 twice as strongly."""
    autoencoder = load_model().networks.autoencoder
    assert isinstance(autoencoder, Autoencoder)
    before = channel_weights(autoencoder)
    first = next(layer for layer in autoencoder.decoder.modules() if isinstance(layer, torch.nn.Conv2d))
    with torch.no_grad():
        first.weight[:, [3, 5]] = 0
        first.weight[:, 2] *= 2
    after = channel_weights(autoencoder)
    assert after[[3, 5]].abs().max() < 1e-12 and after[2] / after[1] > 2 * before[2] / before[1]
    torch.testing.assert_close(after.mean(), torch.tensor(1.0))
    torch.testing.assert_close(channel_weights(autoencoder), after)
