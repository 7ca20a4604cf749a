"""All garments of the open body by name."""

from posedreamer.bodies.building.cloth import Bound, Skin
from posedreamer.bodies.building.clothes import build_clothes
from posedreamer.bodies.building.hair import build_hair
from posedreamer.bodies.building.loft import build_shoes, build_skirt


def build_wardrobe(skin: Skin) -> dict[str, Bound]:
    """Tops, legwear, a skirt, shoes and hair."""
    return {
        **build_clothes(skin),
        "skirt": build_skirt(skin),
        "shoes": build_shoes(skin),
        **build_hair(skin),
    }
