"""Words that the generated material is made of."""

from collections.abc import Sequence
from random import Random


def listed(words: str) -> list[str]:
    return words.split()


FIRST = listed(
    """
    Ada Alan Alice Amir Anna Arthur Ben Bianca Carla Carlos Clara Daniel Diana Edith Elena
    Emil Erik Esther Felix Fiona Frank George Grace Hanna Harold Helen Hugo Ida Igor Irene
    Ivan Jack James Jane Joan Julia Karl Kate Lars Laura Leo Lily Lucas Maria Martin Maya Mina
    Nadia Nina Noah Nora Olga Oscar Paul Peter Petra Rita Robert Rosa Ruth Sam Sara Simon
    Sofia Theo Tom Uma Vera Victor Walter Wanda Yusuf Zoe
    """
)
LAST = listed(
    """
    Abbott Adler Baker Barnes Becker Bell Blake Brandt Carter Cole Cooper Cross Dale Dixon
    Ellis Evans Fisher Fleming Ford Foster Grant Gray Hale Harper Hayes Hill Holt Hunter
    Jansen Keller King Lane Larsen Lowe Marsh Mason Meyer Miller Moore Moss Nash Novak Olsen
    Page Park Perry Porter Price Quinn Reed Rossi Rowe Sharp Silva Snow Stone Tanaka Turner
    Vance Wagner Walsh Ward Webb West Wood York Young
    """
)
STARTS = listed(
    """
    Al Bar Bel Cal Dar Dor El Fal Gar Hol Il Kar Lan Mar Nor Or Pel Ral Sel Tal Ul Vel Wes Zan
    """
)
ENDS = listed(
    """
    bach borough dale den field ford gate ham haven ia inga land mere mont more ora port ria
    ton um
    """
)
ANIMALS = listed(
    """
    cat dog fox goat hawk horse mouse otter owl pony rabbit robin sheep swan turtle wolf
    """
)
FRUIT = listed(
    """
    apples apricots cherries figs grapes lemons limes melons oranges peaches pears plums
    """
)
GOODS = listed(
    """
    balls bolts books bottles boxes bricks buttons candles cards chairs coins cups eggs flags
    flowers forks keys lamps letters maps marbles nails notebooks pencils pens plates posters
    ribbons seeds shells spoons stamps stickers stones tickets tiles tools towels toys
    """
)
COLOURS = listed("black blue brown gold gray green orange pink purple red silver teal white yellow")
MONTHS = listed(
    """
    January February March April May June July August September October November December
    """
)
DAYS = listed("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
JOBS = listed(
    """
    actor architect baker biologist botanist builder captain carpenter chemist clerk composer
    doctor engineer farmer gardener geologist historian inventor lawyer librarian
    mathematician merchant miller musician nurse painter pilot poet printer sailor scientist
    sculptor singer tailor teacher weaver writer
    """
)
FIELDS = listed(
    """
    age amount area balance capacity city code color cost count country depth distance grade
    height id label length level limit mass name number order owner pages parent path points
    price rank rate ratio score size speed state status stock title total type value volume
    weight width year
    """
)
WORDS = listed(
    """
    answer basket bridge candle castle circle corner desert engine falcon flower forest garden
    hammer harbor island jacket kettle ladder letter market meadow mirror morning mountain
    needle ocean packet palace pepper planet pocket rocket saddle school shadow signal silver
    spider spring station summer temple thunder ticket tunnel valley velvet village violin
    wagon window winter wonder
    """
)
VERBS = listed(
    """
    add apply build check clear count fetch find load make merge move pack parse read save
    scan send sort split store trim update write
    """
)


def person(rng: Random) -> str:
    return f"{rng.choice(FIRST)} {rng.choice(LAST)}"


def place(rng: Random) -> str:
    """A town that does not exist."""
    return rng.choice(STARTS) + rng.choice(ENDS)


def verb(rng: Random) -> str:
    return rng.choice(VERBS)


def one(rng: Random, *ways: str) -> str:
    """One of several ways to say the same."""
    return rng.choice(ways)


def few(rng: Random, pool: Sequence[str], least: int, most: int) -> list[str]:
    """Different members of the pool."""
    return rng.sample(pool, rng.randint(least, most))


def in_words(items: Sequence[str]) -> str:
    """a, b and c"""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def article(word: str) -> str:
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"
