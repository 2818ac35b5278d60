"""Who an avatar is: everything about a drawn face that stays the same while it talks."""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cache

import torch
from torch import Tensor

SKIN_TONES = torch.tensor(
    [
        [0.98, 0.86, 0.76],
        [0.94, 0.78, 0.66],
        [0.87, 0.68, 0.53],
        [0.76, 0.56, 0.42],
        [0.60, 0.42, 0.30],
        [0.44, 0.30, 0.21],
        [0.33, 0.22, 0.16],
    ]
)
HAIR_COLOURS = torch.tensor(
    [
        [0.10, 0.08, 0.07],
        [0.22, 0.14, 0.09],
        [0.42, 0.27, 0.14],
        [0.70, 0.52, 0.28],
        [0.85, 0.72, 0.45],
        [0.55, 0.22, 0.10],
        [0.62, 0.62, 0.62],
        [0.90, 0.90, 0.88],
        [0.25, 0.35, 0.65],
        [0.75, 0.30, 0.50],
    ]
)
IRIS_COLOURS = torch.tensor(
    [[0.30, 0.20, 0.10], [0.20, 0.40, 0.65], [0.25, 0.50, 0.30], [0.45, 0.35, 0.20], [0.35, 0.40, 0.45]]
)
BACKGROUND_AND_CLOTHES = (
    "background_first",
    "background_second",
    "background_angle",
    "cloth",
    "collar",
)
# What of a face a small network is prone to draw as the average face has it, and by how much at most.
_MISTAKABLE = {
    **dict.fromkeys(("iris", "eye_spacing", "eye_height", "eye_radius", "eye_aspect"), 1.0),
    **dict.fromkeys(("brow_thickness", "brow_tilt", "brow_distance", "nose_width", "nose_height"), 1.0),
    **dict.fromkeys(("glasses", "ear_size", "fringe_height", "hair_volume"), 1.0),
    **{"hair": 0.5, "lip": 0.5, "skin": 0.25},
}
_CODE_AVATARS, _CODE_SEED = 4096, 9  # that codes are scaled by
_MISTAKEN_SHARE = 0.8  # of these features of an avatar


@dataclass(frozen=True)
class AvatarIdentity:
    """A batch of B avatars. Colours are RGB [B, 3] in 0..1; all else is [B].

    Lengths are in head units: the face is about 0.9 wide and 1.2 high, its middle is the origin, y points
    down; one head unit is `scale` (state, about 1.1) half-widths of the picture.
    """

    skin: Tensor  # [B, 3]
    hair: Tensor  # [B, 3], also of brows and beard
    iris: Tensor  # [B, 3]
    lip: Tensor  # [B, 3]
    background_first: Tensor  # [B, 3], the background is a gradient between two colours
    background_second: Tensor  # [B, 3]
    background_angle: Tensor  # [B], radians, direction of the gradient
    cloth: Tensor  # [B, 3]
    collar: Tensor  # [B], 1 with a closed collar, 0 with a neckline that shows skin
    face_width: Tensor  # [B], half-width
    face_height: Tensor  # [B], half-height
    jaw_taper: Tensor  # [B], share by which the face is narrower at the chin
    eye_spacing: Tensor  # [B], from the middle line to an eye
    eye_height: Tensor  # [B], y of the eyes
    eye_radius: Tensor  # [B], half-width of an eye
    eye_aspect: Tensor  # [B], height of an open eye over its width
    brow_thickness: Tensor  # [B], half-thickness
    brow_tilt: Tensor  # [B], slope; positive drops towards the nose
    brow_distance: Tensor  # [B], from the eye up to the brow
    nose_width: Tensor  # [B], half-width
    nose_height: Tensor  # [B], y of the tip
    mouth_width: Tensor  # [B], half-width at rest
    mouth_height: Tensor  # [B], y of the closed mouth
    lip_thickness: Tensor  # [B]
    hair_volume: Tensor  # [B], by how much the hair stands out over the skull
    fringe_height: Tensor  # [B], y of the hairline at its highest point
    hair_length: Tensor  # [B], 0 short, else 0.3..0.95 (chin to shoulder)
    bald: Tensor  # [B], 1 without hair
    part: Tensor  # [B], side of the parting, -0.5 left .. 0.5 right
    glasses: Tensor  # [B], 1 with glasses
    beard: Tensor  # [B], opacity of a beard, 0 without
    ear_size: Tensor  # [B], half-width

    def __len__(self) -> int:
        return self.skin.shape[0]

    def _map(self, change: Callable[[Tensor], Tensor]) -> "AvatarIdentity":
        return AvatarIdentity(**{field.name: change(getattr(self, field.name)) for field in fields(self)})

    def select(self, index: Tensor | slice | list[int]) -> "AvatarIdentity":
        """The avatars at `index`: a slice, a list, or a tensor of positions or of booleans."""
        return self._map(lambda value: value[index])

    def repeat_interleave(self, n: int) -> "AvatarIdentity":
        """Each avatar n times in a row, for n frames of it: [B] -> [B * n]."""
        return self._map(lambda value: value.repeat_interleave(n, 0))

    def to(self, device: torch.device | str) -> "AvatarIdentity":
        """The same avatars on another device."""
        return self._map(lambda value: value.to(device))

    def with_background_and_clothes_of(self, other: "AvatarIdentity") -> "AvatarIdentity":
        """These faces before the backgrounds and in the clothes of `other` (same length, or one for all)."""
        taken = {name: getattr(other, name) for name in BACKGROUND_AND_CLOTHES}
        return replace(self, **{name: value.expand_as(getattr(self, name)) for name, value in taken.items()})

    def mistaken_for(self, others: "AvatarIdentity", generator: torch.Generator) -> "AvatarIdentity":
        """These avatars as if badly remembered: small features go some of the way to those of others.

        Most of them, drawn anew for each avatar, by a random amount; glasses go all the way or stay. The
        shape of head and hair stays, so that the pose can still be seen.
        """
        changed = {}
        for name, most in _MISTAKABLE.items():
            own, other = getattr(self, name), getattr(others, name)
            taken = torch.rand(len(self), generator=generator) < _MISTAKEN_SHARE
            amount = taken * most * torch.rand(len(self), generator=generator)
            if name == "glasses":
                amount = amount.round()
            changed[name] = torch.lerp(own, other, amount if own.dim() == 1 else amount[:, None])
        return replace(self, **changed)


def identity_codes(identity: AvatarIdentity) -> Tensor:
    """What makes B avatars themselves, but for background and clothes, as numbers of about unit size [B, K].

    Each is 0 on average and 1 in deviation over the avatars that are drawn.
    """
    mean, deviation = _code_scale()
    return (_code_numbers(identity) - mean) / deviation


@cache
def _code_scale() -> tuple[Tensor, Tensor]:
    drawn = draw_identities(_CODE_AVATARS, torch.Generator().manual_seed(_CODE_SEED))
    numbers = _code_numbers(drawn)
    return numbers.mean(0), numbers.std(0)


def _code_numbers(identity: AvatarIdentity) -> Tensor:
    names = [field.name for field in fields(identity) if field.name not in BACKGROUND_AND_CLOTHES]
    return torch.cat([getattr(identity, name).view(len(identity), -1) for name in names], dim=1)


class _Dice:
    """Random draws of one batch from one generator, in the order they are asked for."""

    def __init__(self, count: int, generator: torch.Generator):
        self.count, self.generator = count, generator

    def uniform(self, low: float, high: float) -> Tensor:
        return torch.rand(self.count, generator=self.generator) * (high - low) + low

    def colour(self, low: float, high: float) -> Tensor:
        return torch.rand(self.count, 3, generator=self.generator) * (high - low) + low

    def chance(self, probability: float) -> Tensor:
        return (torch.rand(self.count, generator=self.generator) < probability).float()

    def palette(self, colours: Tensor) -> Tensor:
        """A colour of the palette, mixed up to half with another one and jittered."""
        first, second = (
            colours[torch.randint(len(colours), (self.count,), generator=self.generator)] for _ in range(2)
        )
        mixed = torch.lerp(first, second, self.uniform(0, 0.5)[:, None])
        return (mixed + self.colour(-0.03, 0.03)).clamp(0.02, 0.98)


def _draw_colours(dice: _Dice) -> dict[str, Tensor]:
    skin = dice.palette(SKIN_TONES)
    redness = dice.uniform(0, 1)[:, None] * torch.tensor([0.12, 0.02, 0.04])
    background = dice.colour(0.1, 0.9)
    return {
        "skin": skin,
        "hair": dice.palette(HAIR_COLOURS),
        "iris": dice.palette(IRIS_COLOURS),
        "lip": (skin * torch.tensor([0.82, 0.50, 0.50]) + redness).clamp(0, 1),
        "background_first": background,
        "background_second": (background + dice.colour(-0.3, 0.3)).clamp(0, 1),
        "background_angle": dice.uniform(0, 2 * math.pi),
        "cloth": dice.colour(0.05, 0.90),
        "collar": dice.chance(0.5),
    }


def _draw_geometry(dice: _Dice) -> dict[str, Tensor]:
    return {
        "face_width": dice.uniform(0.42, 0.50),
        "face_height": dice.uniform(0.54, 0.62),
        "jaw_taper": dice.uniform(0.12, 0.38),
        "eye_spacing": dice.uniform(0.17, 0.22),
        "eye_height": dice.uniform(-0.13, -0.06),
        "eye_radius": dice.uniform(0.065, 0.09),
        "eye_aspect": dice.uniform(0.55, 0.80),
        "brow_thickness": dice.uniform(0.014, 0.034),
        "brow_tilt": dice.uniform(-0.15, 0.20),
        "brow_distance": dice.uniform(0.12, 0.16),
        "nose_width": dice.uniform(0.045, 0.08),
        "nose_height": dice.uniform(0.08, 0.14),
        "mouth_width": dice.uniform(0.17, 0.22),
        "mouth_height": dice.uniform(0.29, 0.34),
        "lip_thickness": dice.uniform(0.028, 0.05),
        "ear_size": dice.uniform(0.05, 0.08),
    }


def _draw_hair_and_extras(dice: _Dice) -> dict[str, Tensor]:
    return {
        "hair_volume": dice.uniform(0.04, 0.14),
        "fringe_height": dice.uniform(-0.42, -0.24),
        "hair_length": dice.chance(0.45) * dice.uniform(0.30, 0.95),
        "bald": dice.chance(0.08),
        "part": dice.uniform(-0.5, 0.5),
        "glasses": dice.chance(0.20),
        "beard": dice.chance(0.18) * dice.uniform(0.5, 0.9),
    }


def draw_identities(count: int, generator: torch.Generator) -> AvatarIdentity:
    """Draws `count` avatars at random; the same (CPU) generator state gives the same avatars."""
    dice = _Dice(count, generator)
    return AvatarIdentity(**_draw_colours(dice), **_draw_geometry(dice), **_draw_hair_and_extras(dice))
