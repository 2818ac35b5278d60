"""Random things to say: sentences from a small grammar, and nonsense in phoneme mnemonics."""

import random

_NOUNS = (
    "river mountain window garden teacher morning baby puppy market summer village bottle paper "
    "number music people father mother brother problem moment favor oven valley python apple table "
    "bishop chapel rhythm thunder bathroom fever movie bubble mammal shadow voyage question whisper "
    "yellow room moon boot food smooth sea tree machine memory beach arm balm car park thought law "
    "dog cat bat map bag finger hour power flower boy voice choice joy town house mouth sound pepper "
    "weather feather rabbit wolf ship fish sheep king queen chair nurse bird girl world church judge "
    "measure treasure vision fire wire tower idea ear year"
).split()
_VERBS = (
    "makes finds moves opens follows brings loves paints builds sees hears believes remembers carries "
    "gives meets shows chooses watches shapes keeps pulls pushes bakes solves throws wraps fixes "
    "sings speaks talks buys forgets imagines visits describes covers washes drops"
).split()
_ADJECTIVES = (
    "big blue small warm smooth fast bright brave funny quiet famous poor pretty huge heavy open "
    "purple awful shiny vivid foggy bumpy wavy cheap few many lovely royal empty early thirsty green "
    "wide tired"
).split()
_ADVERBS = (
    "slowly", "today", "maybe", "always", "perhaps", "before lunch", "very often", "in the morning", "again",
    "forever", "by the way", "with pleasure", "without warning", "above the roof", "from above", "right now",
)  # fmt: skip
_DETERMINERS = "the a my your our every this that some their".split()
_OPENINGS = ("Oh,", "Well,", "Yes,", "Hello,", "Maybe,", "Wow,", "My friend,", "Please,", "Look,", "No,")
_CONJUNCTIONS = ("and", "but", "because", "while", "if", "when")
_CONSONANTS = "p b m f v t d n l s z S tS dZ k g r w j h T D".split()
_VOWEL_MNEMONICS = "a i: u: O: E I @ eI aI oU aU A: V OI U 3:".split()


def _noun_phrase(chance: random.Random) -> str:
    adjective = chance.choice(_ADJECTIVES) + " " if chance.random() < 0.6 else ""
    return f"{chance.choice(_DETERMINERS)} {adjective}{chance.choice(_NOUNS)}"


def _clause(chance: random.Random) -> str:
    return f"{_noun_phrase(chance)} {chance.choice(_VERBS)} {_noun_phrase(chance)}"


def random_sentence(chance: random.Random) -> str:
    """One English sentence, 5 to 20 words."""
    words = _clause(chance)
    if chance.random() < 0.4:
        words += f" {chance.choice(_CONJUNCTIONS)} {_clause(chance)}"
    if chance.random() < 0.3:
        words += " " + chance.choice(_ADVERBS)
    if chance.random() < 0.25:
        words = chance.choice(_OPENINGS) + " " + words
    return words + chance.choice((".", ".", "?", "!", "..."))


def random_nonsense(chance: random.Random) -> str:
    """Five to nine nonsense words of one to three syllables, so that no sound hides behind the lexicon."""
    words = (
        "".join(
            chance.choice(_CONSONANTS) + chance.choice(_VOWEL_MNEMONICS) for _ in range(chance.randint(1, 3))
        )
        for _ in range(chance.randint(5, 9))
    )
    return "[[" + " ".join(words) + "]]"
