"""What the blocks that write files ask about marks."""

from typing import Any

Input = tuple[str, dict[str, Any]]

MARKS: Input = (
    "BOOLEAN",
    {
        "default": True,
        "tooltip": "Mark the file as synthetic: a watermark in the pixels, hardly seen, and "
        "signed Content Credentials. Laws may ask you for it.",
    },
)
LABEL: Input = (
    "BOOLEAN",
    {"default": False, "tooltip": "Write AI-generated on the first 3 seconds as well."},
)
AIGC: Input = (
    "BOOLEAN",
    {"default": False, "tooltip": "Add the metadata field AIGC of China's GB 45438-2025."},
)
CONSENT: Input = (
    "STRING",
    {
        "default": "",
        "tooltip": "Your own statement on the consent of those who are seen and heard, "
        "readable for all in the signed credentials.",
    },
)
