"""What the Backbone is told about a clip: projected once, used at all of its denoising steps."""

from dataclasses import dataclass, replace

from torch import Tensor

from .attention import KeyValue


@dataclass(frozen=True)
class SiteConditions:
    """What one site reads while a clip is denoised, already projected.

    Attributes:
        reference: keys and values of the portrait, a row a clip; None: no portrait.
        voice: keys and values of the voice, a row a frame; None: no voice.
        motion: tokens of the motion frames [B*h*w, n, C].
        speed: keys and values of the head speed over the frames, a row a clip; None: no speed given.
    """

    reference: KeyValue | None
    voice: KeyValue | None
    motion: Tensor | None
    speed: KeyValue | None


@dataclass(frozen=True)
class ClipConditions:
    """Everything that stays the same over the denoising steps of a clip.

    Attributes:
        sites: the conditions of every site, in the order of the walk.
        face: the face locator's output [B, C, h, w]; None: the face may be anywhere.
    """

    sites: tuple[SiteConditions, ...]
    face: Tensor | None

    def without_voice(self) -> "ClipConditions":
        """The unconditional half of guidance on the voice; nothing is computed again for it."""
        return replace(self, sites=tuple(replace(site, voice=None) for site in self.sites))

    def without_portrait(self) -> "ClipConditions":
        """The unconditional half of guidance on the portrait."""
        return replace(self, sites=tuple(replace(site, reference=None) for site in self.sites))
