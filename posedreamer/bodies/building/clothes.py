"""Clothes cut from the body's own surface by iso-lines: tops, trousers, shorts, a coat, boots. Metres, T-pose.

Hems are level sets of simple fields, so they are smooth curves whatever the triangles are. Cloth bridges hollows by
smoothing, and then stands off the skin by at least its own distance: tops over trousers, trousers over skin.
"""

import numpy as np

from posedreamer.bodies.building.cloth import (
    Bound,
    Skin,
    cut,
    hemmed,
    largest_part,
    pushed_out,
    smoothed,
    whole_skin,
    with_even_border,
)
from posedreamer.bodies.building.loft import build_shoes, build_skirt, joined

TROUSERS_LEAST, TROUSERS_MOST, TOP_LEAST = 0.005, 0.009, 0.013


def build_clothes(skin: Skin) -> dict[str, Bound]:
    """Garments by name."""
    joints = skin.joints
    elbow, wrist, shoulder = (joints[f"left_{name}"][0] for name in ("elbow", "wrist", "shoulder"))
    knee, ankle, hip = (joints[f"left_{name}"][1] for name in ("knee", "ankle", "hip"))
    upper_arm = elbow - shoulder
    return {
        "t_shirt": _top(skin, sleeve=shoulder + 0.62 * upper_arm, sleeve_room=0.012),
        "t_shirt_cap": _top(skin, sleeve=shoulder + 0.36 * upper_arm, sleeve_room=0.010),
        "t_shirt_elbow": _top(skin, sleeve=shoulder + 0.95 * upper_arm, sleeve_room=0.010, room=0.004),
        "long_sleeve_top": _top(skin, sleeve=wrist - 0.02, sleeve_room=0.004),
        "sweater": _top(skin, sleeve=wrist - 0.005, sleeve_room=0.008, room=0.012),
        "tank_top": _top(skin, sleeve=shoulder + 0.012, sleeve_room=0.0, is_scooped=True),
        "coat": _coat(skin, sleeve=wrist - 0.01),
        "trousers": _legwear(skin, hem=ankle + 0.005, slack=0.010),
        "trousers_wide": _legwear(skin, hem=ankle - 0.015, slack=0.055),
        "trousers_cropped": _legwear(skin, hem=ankle + 0.42 * (knee - ankle), slack=0.012),
        "leggings": _legwear(skin, hem=ankle + 0.03, slack=0.0),
        "shorts": _legwear(skin, hem=knee + 0.35 * (hip - knee), slack=0.016),
        "shorts_short": _legwear(skin, hem=knee + 0.62 * (hip - knee), slack=0.012),
        "shorts_long": _legwear(skin, hem=knee + 0.06 * (hip - knee), slack=0.024),
        "boots": _boots(skin, top=ankle + 0.45 * (knee - ankle)),
    }


def _top(skin: Skin, sleeve: float, sleeve_room: float, is_scooped: bool = False, room: float = 0.0) -> Bound:
    """A top whose sleeves end at |x| = sleeve. room: how much farther than a T-shirt it stands off, all over."""
    neck, pelvis, hip = (skin.joints[name] for name in ("neck", "pelvis", "left_hip"))
    mesh = largest_part(whole_skin(skin))
    x, y, z = mesh.positions.T
    # The neckline: a plane that leans forward; a scoop also takes an ellipsoid out of the chest.
    mesh = cut(mesh, neck[1] + 0.012 - y - 0.75 * (z - neck[2]))
    mesh = cut(mesh, mesh.positions[:, 1] - hip[1] + 0.012 - 0.15 * np.abs(mesh.positions[:, 0]))
    mesh = largest_part(cut(mesh, sleeve - np.abs(mesh.positions[:, 0])))
    if is_scooped:
        x, y, z = mesh.positions.T
        scoop = (x / 0.085) ** 2 + ((y - neck[1] + 0.01) / 0.125) ** 2 - 1
        mesh = cut(mesh, np.where(z > neck[2] - 0.02, scoop, (x / 0.085) ** 2 + ((y - neck[1]) / 0.06) ** 2 - 1))
    x, y, _ = mesh.positions.T
    towards_cuff = np.clip((np.abs(x) - skin.joints["left_shoulder"][0]) / max(sleeve - 0.2, 0.05), 0, 1)
    towards_hem = np.clip((skin.joints["spine2"][1] - y) / (skin.joints["spine2"][1] - pelvis[1]), 0, 1)
    positions = pushed_out(mesh, skin, mesh.positions, 0.012)
    positions = smoothed(mesh, positions, 14)
    least = (
        TOP_LEAST * (1 - 0.55 * np.clip((y - 0.0) / 0.08, 0, 1))
        + sleeve_room * towards_cuff
        + 0.006 * towards_hem
        + room
    )
    positions = with_even_border(mesh, pushed_out(mesh, skin, positions, least), 6)
    return hemmed(mesh._replace(positions=positions), skin)


def _coat(skin: Skin, sleeve: float) -> Bound:
    """A wide long-sleeved top, and from under its hem on a tube round both thighs, like a skirt."""
    pelvis, hip, knee = (skin.joints[name][1] for name in ("pelvis", "left_hip", "left_knee"))
    tails = build_skirt(skin, top=pelvis + 0.03, bottom=hip + 0.34 * (knee - hip), room=0.006, folds=0.002)
    return joined([_top(skin, sleeve, sleeve_room=0.012, room=0.014), tails])


def _boots(skin: Skin, top: float) -> Bound:
    """Shoes, and shafts round the shins from the ankles up to the height `top`."""
    ankle = skin.joints["left_ankle"][1]
    shaft = cut(whole_skin(skin), top - skin.vertices[:, 1])
    shaft = cut(shaft, shaft.positions[:, 1] - ankle + 0.035)
    positions = smoothed(shaft, pushed_out(shaft, skin, shaft.positions, 0.008), 6)
    positions = with_even_border(shaft, pushed_out(shaft, skin, positions, 0.006), 6)
    return joined([build_shoes(skin), hemmed(shaft._replace(positions=positions), skin)])


def _legwear(skin: Skin, hem: float, slack: float) -> Bound:
    pelvis, hip = skin.joints["pelvis"], skin.joints["left_hip"]
    waist = pelvis[1] + 0.085
    mesh = largest_part(whole_skin(skin))
    mesh = cut(mesh, waist - mesh.positions[:, 1] + 0.1 * mesh.positions[:, 2])
    mesh = cut(mesh, mesh.positions[:, 1] - hem)
    y = mesh.positions[:, 1]
    positions = smoothed(mesh, pushed_out(mesh, skin, mesh.positions, 0.008), 12)
    down = np.clip((hip[1] - 0.02 - y) / 0.12, 0, 1)
    positions = pushed_out(mesh, skin, positions, TROUSERS_LEAST + 0.4 * slack * down, TROUSERS_MOST + 0.1 * down)
    positions = _straight_legs(mesh, skin, positions, slack)
    return hemmed(mesh._replace(positions=positions), skin)


def _straight_legs(mesh: Bound, skin: Skin, positions: np.ndarray, slack: float) -> np.ndarray:
    # Below the thigh cloth hangs: a leg is nowhere thinner than a cone from thigh to hem.
    moved = positions.copy()
    for side, sign in (("left", 1.0), ("right", -1.0)):
        points = [skin.joints[f"{side}_{name}"] for name in ("hip", "knee", "ankle")]
        heights = [point[1] for point in points]
        y = positions[:, 1]
        axis = np.stack([np.interp(y, heights[::-1], [p[k] for p in points[::-1]]) for k in (0, 2)], axis=1)
        radial = positions[:, [0, 2]] - axis
        radius = np.linalg.norm(radial, axis=1, keepdims=True)
        down = np.clip((heights[0] - 0.10 - y) / (heights[0] - heights[2]), 0, 1)
        cone = (0.088 - 0.026 * down + 0.3 * slack) * np.clip(down / 0.12, 0, 1)
        wider = np.maximum(radius[:, 0], cone)[:, None] / np.maximum(radius, 1e-6)
        chosen = (sign * positions[:, 0] > 0.01) & (y < heights[0] - 0.10)
        moved[np.ix_(chosen, [0, 2])] = (axis + radial * wider)[chosen]
    return with_even_border(mesh, smoothed(mesh, moved, 2), 6)
