"""Configuration of the small autoencoder of the bundled model; imports nothing heavy."""

from dataclasses import dataclass

from ..errors import InputError


@dataclass(frozen=True)
class AutoencoderConfig:
    """Sizes of the autoencoder.

    Attributes:
        latent_channels: channels of a latent.
        channels: widths at 1/4, at 1/8 and (decoder only) at 1/2 of the picture's side.
        encoder_layers: residual blocks at 1/4 and at 1/8 in the encoder.
        decoder_layers: residual blocks at 1/8, 1/4 and 1/2 in the decoder.
        norm_groups: groups of every GroupNorm.
    """

    latent_channels: int = 8
    channels: tuple[int, int, int] = (64, 96, 32)
    encoder_layers: tuple[int, int] = (2, 2)
    decoder_layers: tuple[int, int, int] = (2, 3, 1)
    norm_groups: int = 8

    def __post_init__(self) -> None:
        if any(width % self.norm_groups for width in self.channels):
            raise InputError(
                got=f"autoencoder channels {self.channels} with norm_groups {self.norm_groups}",
                allowed="widths that norm_groups divides",
                do="change channels or norm_groups",
            )

    @property
    def downscale(self) -> int:
        """Picture side over latent side."""
        return 8
