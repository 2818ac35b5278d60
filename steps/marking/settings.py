"""How a video is marked as synthetic: one switch, and what goes with it."""

from dataclasses import dataclass
from pathlib import Path

from ...errors import InputError

DEFAULT_LABEL_TEXT = "AI-generated"


@dataclass(frozen=True)
class Marking:
    """What says of a file that it is synthetic.

    Attributes:
        enabled: the one switch: watermark, Content Credentials, label and AIGC fields, or none of them.
        consent: the user's own words on the consent of those who are seen and heard, for the manifest.
        label: write a visible label on the first seconds.
        label_text: what it says.
        label_seconds: how long it is seen; China's measures for labelling synthetic content
            (GB 45438-2025) ask for 2 s or more at the start.
        aigc: put the `AIGC` metadata field of the same standard into the file.
        signing_certificate, signing_key: PEM files to sign with; without, those of the environment, else a
            local pair. The pass phrase is read from the environment only.
    """

    enabled: bool = True
    consent: str = ""
    label: bool = False
    label_text: str = DEFAULT_LABEL_TEXT
    label_seconds: float = 3.0
    aigc: bool = False
    signing_certificate: Path | None = None
    signing_key: Path | None = None

    def __post_init__(self) -> None:
        if not 2.0 <= self.label_seconds <= 3600:
            raise InputError(
                got=f"a label for {self.label_seconds:g} s",
                allowed="2 to 3600 s: a shorter one is easily missed, and some countries ask for 2 s",
                do="set 2 s or more, or leave the label off",
            )
        if not 0 < len(self.label_text) <= 60:
            raise InputError(
                got=f"a label of {len(self.label_text)} characters",
                allowed="1 to 60",
                do="use a short text, such as AI-generated",
            )


ALL_MARKS = Marking()
NO_MARKS = Marking(enabled=False)
