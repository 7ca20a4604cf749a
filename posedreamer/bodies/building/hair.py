"""Hair as geometry: a thick cap over the scalp with strands, a curtain for long styles, a bun, a tail. Metres, T-pose.

The head is seen from a centre inside it: azimuth 0 is the face, pi the back of the head, positive to the left. Strands run
from the crown outwards; their clumps are ridges of the surface and streaks of its shade.
"""

import numpy as np

from posedreamer.bodies.building.cloth import Bound, Skin, bind
from posedreamer.bodies.building.loft import grid_faces, joined

SPOKES, RINGS = 96, 18
# Hairline: height above the eyes at each azimuth (degrees): forehead, temple, in front of the ear, over it, nape.
LINE_AZIMUTH = (0, 35, 58, 72, 80, 97, 112, 125, 150, 180)
LINE_HEIGHT = (0.066, 0.064, 0.050, 0.010, 0.006, 0.022, 0.010, -0.030, -0.052, -0.058)


class Head:
    """The scalp as a radius for each direction from the centre, ears left out. Its cost is a nearest-vertex table."""

    def __init__(self, skin: Skin) -> None:
        eye, neck = skin.joints["left_eye_smplhf"], skin.joints["head"]
        self.eye = eye
        names = list(skin.joints)
        on_head = skin.weights[:, [names.index(name) for name in ("head", "jaw", "neck")]].sum(axis=1) > 0.7
        near_ear = (np.abs(skin.vertices[:, 0]) > 0.066) & (skin.vertices[:, 1] < eye[1] + 0.035)
        behind_face = skin.vertices[:, 2] < eye[2] + 0.03
        self.chosen = np.flatnonzero(on_head & behind_face & ~near_ear & (skin.vertices[:, 1] > neck[1] - 0.04))
        top = skin.vertices[self.chosen, 1].max()
        self.centre = np.array([0.0, eye[1] + 0.035, eye[2] - 0.085])
        self.top = top
        offset = skin.vertices[self.chosen] - self.centre
        self.radius = np.linalg.norm(offset, axis=1)
        self.direction = offset / self.radius[:, None]

    def scalp(self, directions: np.ndarray) -> np.ndarray:
        """Radius of the scalp in unit directions (..., 3): a Gaussian mean of the vertices within some degrees."""
        weight = np.exp((directions @ self.direction.T - 1) / 0.004)
        return (weight @ self.radius) / np.maximum(weight.sum(axis=-1), 1e-30)


def build_hair(skin: Skin) -> dict[str, Bound]:
    """Styles by name. `hair_long` ends at the shoulders, `hair_bob` at the chin."""
    head = Head(skin)
    cap = _cap(skin, head, 0.017, 0.0045)
    tight = _cap(skin, head, 0.008, 0.0012)
    full = _cap(skin, head, 0.020, 0.003)
    return {
        "hair_short": cap,
        "hair_cropped": _cap(skin, head, 0.006, 0.0008),
        "hair_afro": _cap(skin, head, 0.052, 0.004),
        "hair_bob": joined([full, _curtain(skin, head, -0.115)]),
        "hair_long": joined([full, _curtain(skin, head, -0.215)]),
        "hair_bun": joined([tight, _bun(skin, head)]),
        "hair_ponytail": joined([tight, _tail(skin, head)]),
    }


def _azimuth_direction(azimuth: np.ndarray, polar: np.ndarray) -> np.ndarray:
    return np.stack(
        [np.sin(polar) * np.sin(azimuth), np.cos(polar) * np.ones_like(azimuth), np.sin(polar) * np.cos(azimuth)],
        axis=-1,
    )


def _hairline_polar(head: Head, azimuth: np.ndarray) -> np.ndarray:
    folded = np.degrees(np.abs((azimuth + np.pi) % (2 * np.pi) - np.pi))
    height = np.interp(folded, LINE_AZIMUTH, LINE_HEIGHT) + head.eye[1] - head.centre[1]
    polar = np.linspace(0.05, 2.6, 200)
    grid = _azimuth_direction(azimuth[:, None], polar[None])
    level = head.scalp(grid) * np.cos(polar)
    return polar[np.argmax(level < height[:, None], axis=1)]


def _clumps(azimuth: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Ridges along the strands, in [-1, 1]: fixed sums of waves over the azimuth that drift on their way down."""
    drift = 0.5 * np.sin(2 * azimuth + 1.0) * share
    waves = np.sin(9 * (azimuth + drift) + 0.7) + 0.8 * np.sin(17 * (azimuth - drift) + 2.1)
    return (waves + 0.7 * np.sin(31 * azimuth + 1.3) + 0.6 * np.sin(43 * azimuth + 4 * share)) / 3.1


def _shade(clumps: np.ndarray, share: np.ndarray) -> np.ndarray:
    return np.clip(1.0 + 0.28 * clumps - 0.12 * share, 0.5, 1.6)


def _cap(skin: Skin, head: Head, thickness: float, ridge: float) -> Bound:
    azimuth = np.linspace(0, 2 * np.pi, SPOKES, endpoint=False)
    end = _hairline_polar(head, azimuth)
    # Rings are denser at the rim, where the cap goes down into the scalp.
    share = np.sin(np.linspace(0.02, 1, RINGS) * np.pi / 2)[:, None]
    directions = _azimuth_direction(azimuth[None], end[None] * share)
    clumps = _clumps(azimuth[None], share)
    profile = np.sqrt(np.clip((1 - share) / 0.22, 0, 1))
    depth = (thickness + ridge * clumps) * profile - 0.003 * (profile < 0.05)
    positions = head.centre + directions * (head.scalp(directions) + depth)[..., None]
    return _bound_to_scalp(skin, head, positions, _shade(clumps, share), is_closed=True)


def _curtain(skin: Skin, head: Head, bottom: float) -> Bound:
    """Strands that leave the head at its widest and hang: an outer and an inner sheet, open at the face."""
    half = np.radians(180 - 66)
    azimuth = np.pi + np.linspace(-half, half, SPOKES)
    start = 1.15
    drop = head.eye[1] + 0.015
    share = np.linspace(0, 1, RINGS)[:, None]
    clumps = _clumps(azimuth[None], share)
    sheets = []
    for depth, order in ((0.019, 1), (0.008, -1)):
        directions = _azimuth_direction(azimuth, np.full(SPOKES, start))
        root = head.centre + directions * (head.scalp(directions) + depth)[:, None]
        widest = _azimuth_direction(azimuth, np.full(SPOKES, np.pi / 2))
        radius = np.maximum(head.scalp(widest) + depth, (0.091 + depth - 0.008) * np.abs(np.sin(azimuth)) ** 4)
        hang = head.centre + widest * radius[:, None]
        hang[:, 1] = drop
        tip = hang.copy()
        # Long hair lies on the back and ends above the shoulders; short hair comes in to the neck a little.
        backward = np.clip((-np.cos(azimuth) - 0.25) / 0.5, 0, 1)
        tip[:, 1] = head.eye[1] + np.maximum(bottom, -0.135 + backward * (bottom + 0.135))
        wider = 0.93 + 0.25 * backward * np.clip((-0.12 - bottom) / 0.1, 0, 1)
        tip[:, [0, 2]] = head.centre[[0, 2]] + (tip - head.centre)[:, [0, 2]] * wider[:, None]
        curve = np.clip(share * 2.2, 0, 1)
        bend = 1 - (1 - curve) ** 2
        sheet = np.where(
            share[..., None] < 1 / 2.2,
            root + (hang - root) * np.stack([bend, curve, bend], axis=-1),
            hang + (tip - hang) * np.clip((share - 1 / 2.2) / (1 - 1 / 2.2), 0, 1)[..., None],
        )
        sheet = sheet + widest * (0.003 * clumps * np.clip(4 * share, 0, 1))[..., None]
        sheets.append(sheet[::order])
    positions = np.concatenate(sheets)
    shade = np.concatenate([_shade(clumps, share), 0.7 * _shade(clumps, share)[::-1]])
    at = np.repeat(sheets[0][:1], len(positions), axis=0)
    return _bound_to_scalp(skin, head, positions, shade, is_closed=False, at=at)


def _bun(skin: Skin, head: Head) -> Bound:
    centre = _back_point(head, 62) + np.array([0.0, 0.018, -0.022])
    polar, azimuth = np.meshgrid(
        np.linspace(0.05, np.pi - 0.05, 16), np.linspace(0, 2 * np.pi, 40, endpoint=False), indexing="ij"
    )
    swirl = np.sin(5 * azimuth + 7 * polar)
    radius = 0.039 + 0.0025 * swirl
    positions = centre + radius[..., None] * _azimuth_direction(azimuth, polar) * np.array([1.0, 0.85, 1.0])
    at = np.broadcast_to(_back_point(head, 62), positions.shape)
    return _bound_to_scalp(skin, head, positions, _shade(swirl * 0.8, np.zeros_like(polar)), is_closed=True, at=at)


def _tail(skin: Skin, head: Head) -> Bound:
    root = _back_point(head, 66)
    share = np.linspace(0, 1, 22)[:, None]
    azimuth = np.linspace(0, 2 * np.pi, 32, endpoint=False)[None]
    path = root + np.concatenate(
        [0 * share, 0.035 * np.sin(np.pi * share) - 0.27 * share**1.5, -0.075 * np.sin(np.pi * 0.62 * share)], axis=1
    )
    clumps = np.sin(6 * azimuth + 3 * share) * 0.6 + np.sin(13 * azimuth + 1) * 0.4
    radius = 0.006 + 0.026 * np.sin(np.pi * np.clip(share * 0.93 + 0.05, 0, 1)) ** 0.7 + 0.002 * clumps
    ring = np.stack([np.sin(azimuth), 0 * azimuth, np.cos(azimuth)], axis=-1)
    positions = path[:, None] + radius[..., None] * ring
    at = np.broadcast_to(root, positions.shape)
    return _bound_to_scalp(skin, head, positions, _shade(clumps, share * np.ones_like(azimuth)), is_closed=True, at=at)


def _back_point(head: Head, degrees: float) -> np.ndarray:
    direction = _azimuth_direction(np.array([np.pi]), np.radians([degrees]))
    return (head.centre + direction * head.scalp(direction)[:, None])[0]


def _bound_to_scalp(
    skin: Skin, head: Head, positions: np.ndarray, shade: np.ndarray, is_closed: bool, at: np.ndarray | None = None
) -> Bound:
    rings, spokes = positions.shape[:2]
    faces = grid_faces(rings, spokes)
    if not is_closed:
        faces = faces[(np.ptp(faces % spokes, axis=1)) <= 1]
    flat = positions.reshape(-1, 3)
    seen = flat if at is None else at.reshape(-1, 3)
    rigid = head.chosen[skin.weights[head.chosen, list(skin.joints).index("head")] > 0.9]
    return Bound(
        bind(skin, flat, rigid, 0.012, at=seen), flat, faces, np.broadcast_to(shade, (rings, spokes)).reshape(-1).copy()
    )
