"""What a command gives when its exit code says more than that it is done."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """Text for stdout, and the exit code."""

    text: str
    exit_code: int

    def __str__(self) -> str:
        return self.text
