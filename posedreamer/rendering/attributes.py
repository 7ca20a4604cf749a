"""The look of a person and a place in words: attribute -> value -> colour or garment.

A prompt names exactly these values (stages/sampling/prompts.py) and a picture is drawn from them (rendering/people.py), so
text and picture can never disagree. Colours are sRGB in 0-255, chosen to be told apart by a small model at 128 px; each
picture moves them a little (`jittered`).
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

Color = tuple[int, int, int]

CLOTH_COLORS: dict[str, Color] = {
    "white": (236, 235, 231),
    "gray": (136, 138, 142),
    "black": (38, 38, 43),
    "red": (196, 38, 42),
    "orange": (233, 122, 32),
    "yellow": (240, 204, 52),
    "green": (52, 140, 70),
    "blue": (42, 88, 190),
    "purple": (120, 62, 158),
    "pink": (239, 142, 178),
}
SKIN_COLORS: dict[str, Color] = {
    "pale": (250, 222, 203),
    "light": (238, 194, 164),
    "medium": (216, 163, 124),
    "tan": (186, 129, 90),
    "brown": (138, 88, 60),
    "dark": (88, 56, 42),
}
HAIR_COLORS: dict[str, Color] = {
    "black": (34, 29, 30),
    "brown": (94, 61, 38),
    "blond": (216, 178, 108),
    "red": (164, 74, 34),
    "gray": (138, 136, 134),
    "white": (224, 221, 214),
}
# Attribute value -> the garments of the wardrobe that it may be, one of which is drawn: lengths and cuts vary unsaid.
HAIR_GARMENTS: dict[str, tuple[str, ...]] = {
    "short": ("hair_short", "hair_cropped"),
    "bob": ("hair_bob",),
    "long": ("hair_long",),
    "bun": ("hair_bun",),
    "ponytail": ("hair_ponytail",),
    "afro": ("hair_afro",),
    "bald": (),
}
TOP_GARMENTS: dict[str, tuple[str, ...]] = {
    "t-shirt": ("t_shirt", "t_shirt_cap", "t_shirt_elbow"),
    "long-sleeve shirt": ("long_sleeve_top", "sweater"),
    "tank top": ("tank_top",),
    "coat": ("coat",),
}
BOTTOM_GARMENTS: dict[str, tuple[str, ...]] = {
    "trousers": ("trousers", "trousers_wide", "trousers_cropped", "leggings"),
    "shorts": ("shorts", "shorts_short", "shorts_long"),
    "skirt": ("skirt", "skirt_short"),
}
SHOES_GARMENTS: dict[str, tuple[str, ...]] = {"shoes": ("shoes",), "boots": ("boots",), "bare feet": ()}
PATTERNS = ("plain", "striped", "checked", "dotted")
SCENES = ("studio", "park", "street", "living room", "gym", "beach")

VALUES: dict[str, tuple[str, ...]] = {
    "skin": tuple(SKIN_COLORS),
    "hair_style": tuple(HAIR_GARMENTS),
    "hair_color": tuple(HAIR_COLORS),
    "top": tuple(TOP_GARMENTS),
    "top_color": tuple(CLOTH_COLORS),
    "top_pattern": PATTERNS,
    "bottom": tuple(BOTTOM_GARMENTS),
    "bottom_color": tuple(CLOTH_COLORS),
    "shoes": tuple(SHOES_GARMENTS),
    "shoes_color": ("white", "black", "gray", "red", "blue"),
    "scene": SCENES,
}
# What a record means that was written before there was the attribute.
UNSAID = {"top_pattern": "plain", "shoes": "shoes"}


def complete(attributes: Mapping[str, str]) -> dict[str, str]:
    """The attributes with what is UNSAID. ValueError when another is missing, or a value is none of VALUES.

    Further attributes are free.
    """
    said = {**UNSAID, **attributes}
    for name, values in VALUES.items():
        if name not in said:
            raise ValueError(f"attributes: {name} is missing, expected one of {', '.join(values)}")
        if said[name] not in values:
            raise ValueError(f"attributes: {name} is {said[name]!r}, expected one of {', '.join(values)}")
    return said


def draw_attributes(rng: np.random.Generator) -> dict[str, str]:
    """One value for each attribute, uniformly and independently."""
    return {name: values[int(rng.integers(len(values)))] for name, values in VALUES.items()}


def jittered(color: Color, rng: np.random.Generator, amount: float = 1.0) -> Float[np.ndarray, "3"]:
    """The colour, linear light in [0, 1], a little brighter or darker (about 7 %) and off-hue: still the same name."""
    srgb = np.asarray(color) / 255.0
    srgb = srgb * (1.0 + amount * rng.normal(0.0, 0.05)) + amount * rng.normal(0.0, 0.012, 3)
    return srgb_to_linear(np.clip(srgb, 0.02, 0.97))


def srgb_to_linear(srgb: Float[np.ndarray, "*any"]) -> np.ndarray:
    """Linear light of display values, both in [0, 1] (IEC 61966-2-1)."""
    srgb = np.asarray(srgb, dtype=np.float64)
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
