"""The matrix of TIFFs: what each one is made of, chosen by its number."""

import random
from dataclasses import dataclass, replace
from functools import cache

NUMBER = 2000

NONE, RLE, GROUP_3, GROUP_4, LZW, JPEG, DEFLATE = 1, 2, 3, 4, 5, 7, 8
OLD_DEFLATE, PACKBITS, LZMA, ZSTD, WEBP, LERC, JPEG_2000 = (
    *(32946, 32773, 34925, 50000, 50001, 34887, 34712),
)
COMPRESSIONS = {NONE: "none", RLE: "rle", GROUP_3: "g3", GROUP_4: "g4", LZW: "lzw", JPEG: "jpeg"}
COMPRESSIONS |= {DEFLATE: "deflate", OLD_DEFLATE: "olddeflate", PACKBITS: "packbits"}
COMPRESSIONS |= {LZMA: "lzma", ZSTD: "zstd", WEBP: "webp", LERC: "lerc", JPEG_2000: "jpeg2000"}
BILEVEL = (RLE, GROUP_3, GROUP_4)
WITH_PREDICTOR = (LZW, DEFLATE, OLD_DEFLATE, ZSTD)

#: Photometric interpretation and number of color channels.
WHITE, BLACK, RGB, PALETTE, CMYK, YCBCR, LAB = range(7)
PHOTOMETRICS = {WHITE: (0, 1), BLACK: (1, 1), RGB: (2, 3), PALETTE: (3, 1), CMYK: (5, 4)}
PHOTOMETRICS |= {YCBCR: (6, 3), LAB: (8, 3)}
NAMES = {WHITE: "white", BLACK: "gray", RGB: "rgb", PALETTE: "palette", CMYK: "cmyk"}
NAMES |= {YCBCR: "ycbcr", LAB: "lab"}
ASSOCIATED, UNASSOCIATED = 1, 2

UNSIGNED, SIGNED, FLOAT = 1, 2, 3
FORMATS = {UNSIGNED: "u", SIGNED: "s", FLOAT: "f"}


@dataclass(frozen=True)
class Recipe:
    """What a TIFF is made of.

    Attributes:
        number: Seeds its samples.
        order: Of its bytes, as in `struct`.
        is_big: Whether it is a BigTIFF.
        tile: Width and height of its tiles, or None.
        rows: Of a strip.
        is_planar: Whether each channel has segments of its own.
        bits: Of a sample.
        form: Its SampleFormat.
        color: Its photometric interpretation.
        extra: Its ExtraSamples.
        compression: TIFF's number of it.
        predictor: 1 to 3.
        levels: What it has besides its first page: "one", "pages", "reduced", "subifds", "mask".
        fill_order: 1 or 2.
        metadata: Which fields it has besides: "none", "ranges", "nodata", "exif".
        has_tables: Whether JPEG segments share their tables (tag 347).
    """

    number: int
    order: str
    is_big: bool
    tile: tuple[int, int] | None
    rows: int
    is_planar: bool
    bits: int
    form: int
    color: int
    extra: tuple[int, ...]
    compression: int
    predictor: int
    levels: str
    fill_order: int
    metadata: str
    has_tables: bool

    @property
    def color_channels(self) -> int:
        """How many channels are colors."""
        return PHOTOMETRICS[self.color][1]

    @property
    def channels(self) -> int:
        """How many channels it has."""
        return self.color_channels + len(self.extra)

    @property
    def is_lossy(self) -> bool:
        """Whether its negative's pixels are near, not equal."""
        return self.compression == JPEG

    @property
    def must_be_negated(self) -> bool:
        """Whether docs/pictures.md promises its negative."""
        if self.must_be_refused or self.compression == LZMA:
            return False
        if ASSOCIATED in self.extra:
            is_whole = self.bits in (8, 16, 32)
            return is_whole and not self.is_planar and self.color in (BLACK, RGB)
        # One value marks missing data in all channels, of which some stay.
        are_bands = self.color_channels == 1 and not any(self.extra)
        return self.metadata != "nodata" or not self.extra or are_bands

    @property
    def must_be_refused(self) -> bool:
        """Whether no negative of it can be right, or none without loss."""
        if self.form == FLOAT or self.color == LAB:
            return True
        return self.compression in (WEBP, LERC, JPEG_2000)

    def __str__(self) -> str:
        """Return the name of its test."""
        layout = f"{self.tile[0]}x{self.tile[1]}" if self.tile else f"{self.rows}rows"
        extra = "".join(f"+{kind}" for kind in self.extra)
        parts = [
            str(self.number),
            ("le" if self.order == "<" else "be") + ("big" if self.is_big else ""),
            layout + ("planar" if self.is_planar else ""),
            f"{FORMATS[self.form]}{self.bits}{NAMES[self.color]}{extra}",
            COMPRESSIONS[self.compression] + ("tables" if self.has_tables else ""),
            f"p{self.predictor}" if self.predictor > 1 else "",
            "fill2" if self.fill_order > 1 else "",
            *("" if name in ("one", "none") else name for name in (self.levels, self.metadata)),
        ]
        return "-".join(part for part in parts if part)


@cache
def matrix() -> tuple[Recipe, ...]:
    """Return all recipes, always the same."""
    return tuple(_recipe(number) for number in range(NUMBER))


def _recipe(number: int) -> Recipe:
    dice = random.Random(number)  # noqa: S311
    kind = dice.choices(("integers", "jpeg", "bilevel", "refused"), weights=(16, 2, 2, 1))[0]
    tile = dice.choice([None, None, (16, 16), (32, 16), (48, 64)])
    recipe = Recipe(
        number,
        order=dice.choice("<>"),
        is_big=dice.random() < 1 / 3,
        tile=tile,
        rows=dice.choice([1, 5, 8, 16, 1000]),
        is_planar=False,
        bits=1,
        form=UNSIGNED,
        color=BLACK,
        extra=(),
        compression=NONE,
        predictor=1,
        levels=dice.choice(["one", "one", "pages", "reduced", "subifds", "mask"]),
        fill_order=1,
        metadata=dice.choice(["none", "ranges", "nodata", "exif"]),
        has_tables=False,
    )
    if kind == "jpeg":
        return _jpeg(recipe, dice)
    if kind == "bilevel":
        return replace(
            recipe,
            tile=None,
            color=dice.choice([WHITE, BLACK]),
            compression=dice.choice(BILEVEL),
            fill_order=dice.choice([1, 2]),
            metadata=dice.choice(["none", "exif"]),
        )
    recipe = _integers(recipe, dice)
    if kind == "refused":
        recipe = _refused(recipe, dice)
    return recipe


def _integers(recipe: Recipe, dice: random.Random) -> Recipe:
    color = dice.choice([WHITE, BLACK, BLACK, RGB, RGB, RGB, PALETTE, CMYK, YCBCR])
    bits = dice.choice([1, 2, 3, 4, 6, 8, 8, 8, 10, 12, 14, 16, 16, 16, 20, 24, 32, 32])
    form = UNSIGNED
    extra: tuple[int, ...] = ()
    if color == PALETTE:
        bits = dice.choice([1, 2, 4, 8, 8, 16])
    elif color == YCBCR:
        bits = 8
    else:
        if bits in (8, 16, 32) and dice.random() < 1 / 5:
            form = SIGNED
        if dice.random() < 1 / 3:
            choices = [(0,), (0, 0), (2,), (2,), (2, 0), (1,)]
            # What "within alpha" is of signed samples, or in other colors, no document tells.
            extra = dice.choice(choices[:5] if form == SIGNED or color == WHITE else choices)
    compression = dice.choice([NONE, NONE, LZW, LZW, DEFLATE, OLD_DEFLATE, PACKBITS, ZSTD])
    predictor = 1
    if compression in WITH_PREDICTOR and bits in (8, 16, 32) and color != YCBCR:
        predictor = dice.choice([1, 2])
    return replace(
        recipe,
        bits=bits,
        form=form,
        color=color,
        extra=extra,
        compression=compression,
        predictor=predictor,
        is_planar=color not in (PALETTE, YCBCR) and dice.random() < 1 / 3,
        fill_order=2 if bits == 1 and compression == NONE and dice.random() < 1 / 2 else 1,
    )


def _jpeg(recipe: Recipe, dice: random.Random) -> Recipe:
    color = dice.choice([BLACK, RGB, YCBCR, YCBCR, WHITE, CMYK])
    return replace(
        recipe,
        bits=8,
        color=color,
        rows=dice.choice([8, 16, 1000]),
        compression=JPEG,
        has_tables=dice.random() < 2 / 3,
        is_planar=color == RGB and dice.random() < 1 / 3,
        metadata=dice.choice(["none", "exif"]),
    )


def _refused(recipe: Recipe, dice: random.Random) -> Recipe:
    plain = replace(
        *(recipe,), bits=8, form=UNSIGNED, extra=(), predictor=1, fill_order=1, metadata="none"
    )
    kind = dice.choice(["float", "lab", "lzma", "webp", "lerc", "jpeg2000"])
    if kind == "float":
        compression = dice.choice([NONE, LZW, DEFLATE])
        return replace(
            plain,
            bits=dice.choice([32, 64]),
            form=FLOAT,
            color=dice.choice([BLACK, RGB]),
            compression=compression,
            predictor=dice.choice([1, 3]) if compression != NONE else 1,
        )
    if kind == "lab":
        return replace(plain, color=LAB, compression=dice.choice([NONE, LZW]), is_planar=False)
    compression = {"lzma": LZMA, "webp": WEBP, "lerc": LERC, "jpeg2000": JPEG_2000}[kind]
    return replace(plain, color=RGB, is_planar=False, compression=compression)
