"""All published families, and which of them files are told to be by their names; imports nothing heavy."""

from collections.abc import Iterable

from ...errors import WeightsError
from . import echomimic, hallo, moore, v_express
from .family import Family

FAMILIES: tuple[Family, ...] = (hallo.HALLO, *echomimic.FAMILIES, v_express.V_EXPRESS, moore.MOORE)

KNOWN_NAMES = frozenset(file.name for family in FAMILIES for layout in family.layouts for file in layout)


def family_named(name: str) -> Family:
    """The family of this short name.

    Raises:
        WeightsError: there is none.
    """
    for family in FAMILIES:
        if family.name == name:
            return family
    names = ", ".join(family.name for family in FAMILIES)
    raise WeightsError(got=f"family {name!r}", allowed=names, do="choose one of these")


def families_of(names: Iterable[str]) -> list[Family]:
    """Families that hear a voice and whose published files are all among these, names without endings."""
    given = set(names)
    return [
        family
        for family in FAMILIES
        if family.hears and any(all(file.name in given for file in layout) for layout in family.layouts)
    ]
