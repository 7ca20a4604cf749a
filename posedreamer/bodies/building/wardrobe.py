"""All garments of the open body by name."""

from posedreamer.bodies.building.cloth import Bound, Skin
from posedreamer.bodies.building.clothes import build_clothes
from posedreamer.bodies.building.hair import build_hair
from posedreamer.bodies.building.loft import build_shoes, build_skirt


def build_wardrobe(skin: Skin) -> dict[str, Bound]:
    """Tops, a coat, legwear, skirts, footwear and hair, most of them in several lengths."""
    pelvis, hip, knee = (skin.joints[name][1] for name in ("pelvis", "left_hip", "left_knee"))
    waist = pelvis + 0.075
    return {
        **build_clothes(skin),
        "skirt": build_skirt(skin, waist, knee + 0.03),
        "skirt_short": build_skirt(skin, waist, knee + 0.5 * (hip - knee)),
        "shoes": build_shoes(skin),
        **build_hair(skin),
    }
