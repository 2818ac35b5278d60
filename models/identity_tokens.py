"""Tokens about a portrait's identity, from a face embedding."""

from torch import Tensor, nn

from .config import ContextConfig


class IdentityProjection(nn.Module):
    """A face embedding [B, E] -> tokens [B, T, W]; an embedding of zeros stands for no known face."""

    def __init__(self, config: ContextConfig, embedding_width: int):
        super().__init__()
        self.shape = (config.tokens, config.token_width)
        self.proj = nn.Linear(embedding_width, config.tokens * config.token_width)
        self.norm = nn.LayerNorm(config.token_width)

    def forward(self, embedding: Tensor) -> Tensor:
        return self.norm(self.proj(embedding).unflatten(-1, self.shape))
