"""What the Backbone is told about a clip: projected once, used at all of its denoising steps."""

from dataclasses import dataclass, replace

from torch import Tensor

from .attention import KeyValue
from .region_audio import RegionVoice


@dataclass(frozen=True)
class SiteConditions:
    """What one site reads while a clip is denoised, already projected.

    Attributes:
        reference: keys and values of the portrait, a row a clip; None: no portrait.
        added: what is added of the portrait, place by place [B, C, h, w] or alike everywhere [B, C, 1, 1];
            None: nothing.
        voice: keys and values of the voice, a row a frame; None: no voice.
        motion: tokens of the motion frames [B*h*w, n, C].
        speed: keys and values of the head speed over the frames, a row a clip; None: no speed given.
        context: keys and values of the identity tokens, a row a clip; None: none.
        regions: the voice region by region, in a model that hears it so.
    """

    reference: KeyValue | None = None
    added: Tensor | None = None
    voice: KeyValue | None = None
    motion: Tensor | None = None
    speed: KeyValue | None = None
    context: KeyValue | None = None
    regions: RegionVoice | None = None


@dataclass(frozen=True)
class ClipConditions:
    """Everything that stays the same over the denoising steps of a clip, or of a window of a long one.

    Attributes:
        sites: the conditions of every site, in the order of the walk.
        face: the face locator's output [B, 1 or F, C, h, w]; None: the face may be anywhere.
    """

    sites: tuple[SiteConditions, ...]
    face: Tensor | None

    def without_voice(self) -> "ClipConditions":
        """The unconditional half of guidance on the voice; nothing is computed again for it."""
        return replace(self, sites=tuple(replace(site, voice=None) for site in self.sites))

    def without_portrait(self) -> "ClipConditions":
        """The unconditional half of guidance on the portrait."""
        return replace(self, sites=tuple(replace(site, reference=None, added=None) for site in self.sites))
