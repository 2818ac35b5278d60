"""The one form of error in this project: what was got, what is allowed, what to do."""


class EmoError(Exception):
    """Base of every error this project raises on purpose.

    Attributes:
        got: what was found, with its value.
        allowed: what would have been accepted.
        do: the next step for the person who reads it.
    """

    def __init__(self, *, got: str, allowed: str, do: str):
        self.got, self.allowed, self.do = got, allowed, do
        super().__init__(f"Got: {got}. Allowed: {allowed}. Do: {do}.")


class InputError(EmoError):
    """A file, setting or tensor given by the user cannot be used."""


class WeightsError(EmoError):
    """A file of weights is missing, damaged, or not of the kind that is wanted."""


class DependencyError(EmoError):
    """An optional library is not installed; `do` holds the line that installs it."""
