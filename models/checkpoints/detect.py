"""What a file of weights seems to be, told by the names and shapes of its tensors; for errors and lists."""

import re
from collections.abc import Mapping

Shapes = Mapping[str, tuple[int, ...]]

# The first that fits names the file. Patterns are searched for in the tensors' names.
_KINDS = (
    (r"lora_(up|down|A|B)\b|\.lora\.|^lora_", "a LoRA, a change to another model"),
    (r"^conditioner\.embedders\.1\.", "a text-to-image checkpoint (SDXL)"),
    (r"^model\.diffusion_model\.(joint|double|single)_", "a text-to-image checkpoint (a transformer)"),
    (r"^(double_blocks|single_blocks|transformer_blocks|joint_blocks)\.\d", "a text-to-image transformer"),
    (r"^model\.diffusion_model\.", "a text-to-image checkpoint (Stable Diffusion)"),
    (r"^denoising_unet\..*audio_modules\.", "Hallo's or Hallo2's net.pth"),
    (r"attn1_5\.", "V-Express's denoising network"),
    (r"audio_modules\.", "Hallo's denoising network"),
    (r"^(encoder|decoder|first_stage_model|quant_conv)\b.*conv_in", "a picture autoencoder (VAE)"),
    (r"feature_extractor\.conv_layers", "a wav2vec 2.0 voice encoder"),
    (r"^(model\.)?encoder\.(positional_embedding|embed_positions)", "a whisper voice encoder"),
    (r"^(vision_model|visual)\.", "a CLIP image encoder"),
    (r"^text_model\.|^cond_stage_model\.", "a text encoder"),
    (r"^(reference_net|backbone)\.", "a model of this project"),
    (r"^layers\.\d+\.0\.to_kv\.", "V-Express's audio projection"),
    (r"^proj1\.", "Hallo's audio projection"),
)


def seems_to_be(shapes: Shapes) -> str:
    """In words what a file of tensors of these names and shapes seems to be."""
    for pattern, words in _KINDS:
        if any(re.search(pattern, name) for name in shapes):
            return words
    if any(name.startswith("down_blocks.") for name in shapes):
        return _kind_of_unet(shapes)
    if "blocks.0.weight" in shapes and "conv_in.weight" in shapes:
        channels = shapes["conv_in.weight"][1]
        return f"a face locator or pose guider that reads {channels} channel{'s' if channels > 1 else ''}"
    first = ", ".join(sorted(shapes)[:3])
    return f"nothing known ({len(shapes)} tensors: {first}, ...)"


def _kind_of_unet(shapes: Shapes) -> str:
    if "conv_in.weight" not in shapes:
        return "temporal modules (AnimateDiff's layout, the same in every family)"
    contexts = [shape[1] for name, shape in shapes.items() if name.endswith("attn2.to_k.weight")]
    if not contexts:
        return "EchoMimic's reference network"
    if contexts[0] == 384:
        return "EchoMimic's denoising network"
    if contexts[0] == 768 and "conv_norm_out.weight" in shapes:
        return "a text-to-image UNet (Stable Diffusion 1.5), or Moore-AnimateAnyone's denoising network"
    if contexts[0] == 768:
        return "a reference network (Hallo, V-Express or Moore-AnimateAnyone)"
    return f"a UNet whose context is {contexts[0]} wide"
