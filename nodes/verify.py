"""Verify: a file, or VIDEO -> what marks it carries."""

from typing import Any

from .. import host


class Verify:
    """Whether a file is marked as synthetic, by whom, and whether that holds."""

    CATEGORY = "EMO"
    DESCRIPTION = (
        "Looks for Content Credentials (C2PA), this pack's watermark and plain notices in an mp4 or png "
        "file, of anybody. That nothing is found proves nothing."
    )
    FUNCTION = "verify"
    OUTPUT_NODE = True
    RETURN_TYPES = ("STRING", "STRING", "STRING")
    RETURN_NAMES = ("verdict", "report", "json")
    OUTPUT_TOOLTIPS = (
        "marked, unmarked, tampered or unreadable.",
        "What was found, in words.",
        "The same for programs.",
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "file": (
                    "STRING",
                    {
                        "default": "",
                        "tooltip": "An mp4 or png file in ComfyUI's input or output folder; not needed where "
                        "a video is connected.",
                    },
                ),
            },
            "optional": {
                "video": ("VIDEO", {"tooltip": "A video that is a file, as EMO Combine Video gives it."}),
            },
        }

    @classmethod
    def IS_CHANGED(cls, file: str, video: Any = None) -> float:
        return float("nan")  # the file may be another one by now

    def verify(self, file: str, video: Any = None) -> dict[str, Any]:
        import json

        from ..steps.marking.describe import describe
        from ..steps.marking.verify import verify_file

        found = verify_file(host.media_file(file, video))
        report = describe(found)
        texts = (found.verdict, report, json.dumps(found.as_json(), indent=2, ensure_ascii=False))
        return {"ui": {"text": [report]}, "result": texts}
