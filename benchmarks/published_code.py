"""A denoising step by a family's own code, imported from a checkout of its repository when asked for.

Nothing of such a repository is part of this project. Its code runs where its own requirements are installed:
einops, transformers and its release of diffusers (0.27.2 for Hallo, 0.24.0 for EchoMimic and
Moore-AnimateAnyone, 0.29.2 for V-Express).
"""

import importlib
import importlib.util
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..models.build import EmoNetworks
from ..models.checkpoints.family import Family
from ..models.config import EmoConfig
from .family_example import StepInputs

_LEVELS = {
    "down": ("CrossAttnDownBlock",) * 3 + ("DownBlock",),
    "up": ("UpBlock",) + ("CrossAttnUpBlock",) * 3,
}
_SD15 = {
    "act_fn": "silu",
    "center_input_sample": False,
    "downsample_padding": 1,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "mid_block_scale_factor": 1,
    "norm_eps": 1e-5,
}
_MOTION = {
    "use_inflated_groupnorm": True,
    "unet_use_cross_frame_attention": False,
    "unet_use_temporal_attention": False,
    "use_motion_module": True,
    "motion_module_resolutions": (1, 2, 4, 8),
    "motion_module_mid_block": True,
    "motion_module_decoder_only": False,
    "motion_module_type": "Vanilla",
    "motion_module_kwargs": {
        "num_attention_heads": 8,
        "num_transformer_block": 1,
        "attention_block_types": ("Temporal_Self", "Temporal_Self"),
        "temporal_position_encoding": True,
        "temporal_position_encoding_max_len": 32,
        "temporal_attention_dim_div": 1,
    },
}


@dataclass(frozen=True)
class Code:
    """Where a repository keeps its networks, and what their constructors are told besides.

    Attributes:
        package: of the modules of the networks.
        unet: module and class of the denoising network, "module:class".
        reference_part, denoising_part: what stands before the names of their tensors in the family's table.
        extra: more arguments of the denoising network.
    """

    package: str
    unet: str = "unet_3d:UNet3DConditionModel"
    reference_part: str = "reference_unet."
    denoising_part: str = "denoising_unet."
    extra: Callable[[EmoConfig], dict[str, Any]] = lambda config: {}


def _hallo_extra(config: EmoConfig) -> dict[str, Any]:
    return {
        "use_audio_module": True,
        "audio_attention_dim": config.audio.token_width,
        "stack_enable_blocks_name": ("up", "down", "mid"),
        "stack_enable_blocks_depth": (0, 1, 2, 3),
    }


CODES = {
    "hallo": Code("hallo.models", extra=_hallo_extra),
    "echomimic": Code(
        "src.models",
        "unet_3d_echo:EchoUNet3DConditionModel",
        extra=lambda config: {"cross_attention_dim": config.audio.token_width},
    ),
    "v-express": Code("modules", reference_part="reference_net."),
    "moore": Code("src.models"),
}


class PublishedStep:
    """A family's own networks with the weights of ours, and a guided step of theirs.

    Args:
        family: one of `CODES`, of any size.
        checkout: the folder of its repository.
        networks: whose weights are taken, with their device and dtype.
        given: the step's inputs.

    Raises:
        InputError: the checkout is none, or what its code needs is not installed.
    """

    def __init__(self, family: Family, checkout: Path, networks: EmoNetworks, given: StepInputs):
        self.family, self.networks, self.given = family, networks, given
        check_checkout(family.name, checkout)
        code, config = CODES[family.name], family.config
        modules = _modules(checkout, code)
        module, name = code.unet.split(":")
        base = _sizes(config)
        reference = modules("unet_2d_condition").UNet2DConditionModel.from_config({**base, **_blocks("2D")})
        told = {**base, **_blocks("3D"), "mid_block_type": "UNetMidBlock3DCrossAttn"}
        unet = getattr(modules(module), name).from_config(told, **_MOTION, **code.extra(config))
        self.reference = self._filled(reference, code.reference_part)
        self.unet = self._filled(unet, code.denoising_part)
        if family.name == "hallo":  # which its published inference runs as it was trained
            self.unet.enable_gradient_checkpointing()
            self.unet.train()
        self._read_reference(modules("mutual_self_attention").ReferenceAttentionControl)
        self.arguments = self._arguments()

    def _filled(self, module: nn.Module, part: str) -> Any:
        """A network of theirs with our weights; its tensors that ours have no use for stay as they are."""
        ours, theirs = self.networks.state_dict(), module.state_dict()
        for name in theirs:
            own = self.family.own_name(part + name)
            if own in ours:
                theirs[name] = ours[own]
        module.load_state_dict(theirs)
        return module.to(self.given.latents).eval().requires_grad_(False)

    @torch.no_grad()
    def _read_reference(self, control: Any) -> None:
        """Run their reference network once and hand its features over in their way."""
        config, pictures = self.family.config, self.given.pictures
        scales: dict[str, float] = {}
        if config.reference.reading == "own":
            scales = {
                "reference_attention_weight": config.reference.scale,
                "audio_attention_weight": config.audio.scale,
            }
        if pictures.device.type == "cpu":  # EchoMimic's hooks take a card for granted, as a default
            hooks = control.register_reference_hooks
            hooks.__defaults__ = tuple(
                pictures.device if isinstance(value, torch.device) else value for value in hooks.__defaults__
            )
        shared: dict[str, Any] = {
            "do_classifier_free_guidance": True,
            "batch_size": 1,
            "fusion_blocks": "full",
        }
        writer = control(self.reference, mode="write", **shared)
        reader = control(self.unet, mode="read", **shared, **scales)
        tokens = self.given.tokens(self.networks)
        if tokens is not None:
            pictures = pictures.repeat(2, 1, 1, 1)
        elif config.context is not None:
            tokens = pictures.new_zeros(1, 1, config.context.token_width)
        self.reference(pictures, torch.zeros_like(self.given.timestep), encoder_hidden_states=tokens)
        told: dict[str, Any] = {"dtype": torch.float16 if config.reference.half_precision else pictures.dtype}
        if config.context is None or not config.context.in_backbone:
            told["do_classifier_free_guidance"] = True
        reader.update(writer, **told)

    @torch.no_grad()
    def _arguments(self) -> dict[str, Any]:
        """What their denoising network is told beside latents and timestep, by the names that it has."""
        given, config = self.given, self.family.config
        frames = given.latents.shape[1]
        located = self.networks.backbone.locate(given.mask).transpose(1, 2).expand(-1, -1, frames, -1, -1)
        both = torch.cat([located if config.locator.guides else torch.zeros_like(located), located])
        voice = None if given.voice is None else torch.cat([torch.zeros_like(given.voice), given.voice])
        tokens = given.tokens(self.networks)
        if self.family.name == "hallo":
            named = dict(zip(("full_mask", "face_mask", "lip_mask"), self._masks(frames), strict=True))
            scale = list(given.regions.weights)
            return {
                "encoder_hidden_states": tokens,
                "audio_embedding": voice,
                "mask_cond_fea": both,
                "motion_scale": scale,
                **named,
            }
        if self.family.name == "echomimic":
            return {"encoder_hidden_states": None, "audio_cond_fea": voice, "face_musk_fea": both}
        if self.family.name == "v-express" and voice is not None:
            return {"encoder_hidden_states": voice.flatten(0, 1), "kps_features": both}
        return {"encoder_hidden_states": tokens, "pose_cond_fea": both}

    def _masks(self, frames: int) -> list[list[Tensor]]:
        """For each region a mask a level, both halves' frames one after the other [2 * F, h * w]."""
        return [
            [level[region].expand(2 * frames, -1) for level in self.given.regions.masks]
            for region in range(3)
        ]

    @torch.no_grad()
    def rows(self) -> Tensor:
        """Predictions of both halves [2, F, C, h, w], the unconditional one first."""
        x = self.given.latents.transpose(1, 2).repeat(2, 1, 1, 1, 1)
        return self.unet(x, self.given.timestep, return_dict=False, **self.arguments)[0].transpose(1, 2)

    def predict(self, guidance: float) -> Tensor:
        """u + g * (c - u) [1, F, C, h, w]."""
        u, c = self.rows().chunk(2)
        return u + guidance * (c - u)


def _sizes(config: EmoConfig) -> dict[str, Any]:
    """SD 1.5's arguments, of the configuration's widths."""
    spatial, context = config.spatial, config.context
    return {
        **_SD15,
        "in_channels": spatial.latent_channels,
        "out_channels": spatial.latent_channels,
        "block_out_channels": spatial.channels,
        "layers_per_block": spatial.layers_per_level,
        "attention_head_dim": spatial.heads,
        "norm_num_groups": spatial.norm_groups,
        "cross_attention_dim": 768 if context is None else context.token_width,
    }


def _blocks(ending: str) -> dict[str, tuple[str, ...]]:
    return {f"{way}_block_types": tuple(name + ending for name in names) for way, names in _LEVELS.items()}


def check_checkout(name: str, checkout: Path) -> None:
    """Raises InputError: a folder is no checkout of a family's repository."""
    folder = checkout.joinpath(*CODES[name].package.split("."))
    if not folder.is_dir():
        raise InputError(
            got=f"{checkout}, which has no folder {folder.relative_to(checkout)}",
            allowed="a checkout of the family's own repository",
            do="give the folder that `git clone` made of it",
        )


def _modules(checkout: Path, code: Code) -> Callable[[str], Any]:
    """Imports modules of a checkout by their names in its package of networks."""
    if str(checkout) not in sys.path:
        sys.path.insert(0, str(checkout))
    importlib.import_module("diffusers")  # asks for xformers before the stand-in can be found
    if "xformers" not in sys.modules and importlib.util.find_spec("xformers") is None:
        # Imported at the top of their files, used only where it is switched on.
        for name in ("xformers", "xformers.ops"):
            sys.modules[name] = types.ModuleType(name)

    def module(name: str) -> Any:
        try:
            return importlib.import_module(f"{code.package}.{name}")
        except ImportError as error:
            raise InputError(
                got=f"the code of {checkout}, which cannot be imported ({error})",
                allowed="an environment with what its requirements.txt names",
                do="install that beside this project, its release of diffusers above all",
            ) from error

    return module
