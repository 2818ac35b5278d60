"""What a watcher of the graph is told of a sampling run: how far it is, and what the clip looks like."""

from collections.abc import Callable

import torch
from torch import Tensor

from .graph_model import GraphModel
from .sampling import OnProgress, Progress


def watch(report: Callable[..., None], model: GraphModel) -> OnProgress:
    """Progress for a report that takes (steps done, a text, what makes a preview [H, W, 3])."""
    makes_preview = model.networks.autoencoder is not None

    def on_progress(at: Progress) -> None:
        text = f"clip {at.clip} of {at.clips}, step {at.step} of {at.steps}"
        report(at.steps_done, text, (lambda: preview(model, at.clean)) if makes_preview else None)

    return on_progress


@torch.inference_mode()
def preview(model: GraphModel, clean: Tensor) -> Tensor:
    """The middle frame of a clip's latents [1, F, C, h, w] as a picture [H, W, 3]."""
    middle = clean[:, clean.shape[1] // 2] / model.config.latent_scale
    return model.networks.autoencoder.decode(middle)[0].permute(1, 2, 0).float()  # type: ignore[union-attr]
