"""What `comfyui-emo evaluate` measured, as text."""

from typing import Any

_CEILINGS = ("figures", "spread", "truth", "truth_through_autoencoder")
_HEADS = ("model", "spread", "truth", "through autoencoder")
_ABLATED = (
    "mouth_opening_correlation",
    "face_psnr_nearest_pose_db",
    "identified_of_8",
    "seam_ratio",
    "yaw_spread_ratio",
    "head_velocity_degrees_per_frame",
)
"""The figures shown for each part that is left out; the file has them all."""


def as_text(result: dict[str, Any]) -> str:
    """The figures beside their spread over the seeds and the two ceilings, then every other part."""
    blocks = []
    if "figures" in result:
        blocks.append(_figures(result))
    for part in ("autoencoder", "cost", "mechanisms", "drift", "recording"):
        if part in result:
            blocks.append(_rows(result[part]))
    if "ablations" in result:
        blocks.append(_ablations(result["ablations"]))
    return "\n\n".join(blocks)


def _figures(result: dict[str, Any]) -> str:
    width = max(map(len, result["figures"]))
    lines = [" ".join([" " * width, *(f"{head:>19}" for head in _HEADS)])]
    for name in result["figures"]:
        values = (result[column].get(name) for column in _CEILINGS)
        cells = (" " * 19 if value is None else f"{value:19.3f}" for value in values)
        lines.append(" ".join([f"{name:<{width}}", *cells]))
    return "\n".join(lines)


def _rows(values: dict[str, float]) -> str:
    width = max(map(len, values))
    return "\n".join(f"{name:<{width}} {value:19.3f}" for name, value in values.items())


def _ablations(ablations: dict[str, dict[str, float]]) -> str:
    width = max(map(len, _ABLATED))
    lines = [" ".join([f"{'left out:':<{width}}", *(f"{part:>14}" for part in ablations)])]
    for name in _ABLATED:
        cells = (f"{figures[name]:14.3f}" for figures in ablations.values())
        lines.append(" ".join([f"{name:<{width}}", *cells]))
    return "\n".join(lines)
