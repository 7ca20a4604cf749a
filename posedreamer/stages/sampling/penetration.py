"""How deep body parts sink into each other.

The body is cut into parts by skinning weight and each part is closed by caps over its cuts. A vertex of one part is inside
another when the other's winding number there is more than one half; its depth is the distance to the tangent plane at the
nearest vertex of that part's skin (exact for flat skin; the error at the depths that matter is about 2 mm on a mesh with edges
of 1 cm). Parts that grow together are never compared; parts that touch by nature in a pose are listed with it (`contacts`).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import KDTree

from posedreamer.bodies.body import BodyModel
from posedreamer.bodies.posing import pose_body
from posedreamer.geometry.skeletons import SMPLX_JOINTS
from posedreamer.rendering.rasterizer import vertex_normals
from posedreamer.stages.sampling.placing import draw_to_parameters
from posedreamer.stages.sampling.sources import PoseDraw

MAX_DEPTH = 0.015
# Where parts do touch, flesh gives way, but not without end.
MAX_CONTACT_DEPTH = 0.045
# Deeper than any part is thick: farther neighbours are not looked for.
SEARCH_RADIUS = 0.15
WINDING_CHUNK = 16

_LIMBS = {
    "thigh": ("hip",),
    "shin": ("knee",),
    "foot": ("ankle", "foot"),
    "upper_arm": ("shoulder",),
    "forearm": ("elbow",),
}
PARTS: dict[str, tuple[str, ...]] = {
    "head": ("neck", "head", "jaw"),
    "chest": ("spine2", "spine3", "left_collar", "right_collar"),
    "hips": ("pelvis", "spine1"),
    **{f"{side}_{part}": tuple(f"{side}_{joint}" for joint in joints)
       for side in ("left", "right") for part, joints in _LIMBS.items()},
    **{f"{side}_hand": (f"{side}_wrist", *(name for name in SMPLX_JOINTS[25:] if name.startswith(side)))
       for side in ("left", "right")},
}  # fmt: skip
# Parts that grow together, or lie on each other whenever the joint between them is folded.
GROWN_TOGETHER = frozenset(
    frozenset(pair)
    for side in ("left", "right")
    for pair in (
        ("head", "chest"), ("chest", "hips"), ("chest", f"{side}_upper_arm"), (f"{side}_upper_arm", f"{side}_forearm"),
        (f"{side}_forearm", f"{side}_hand"), ("hips", f"{side}_thigh"), (f"{side}_thigh", f"{side}_shin"),
        (f"{side}_shin", f"{side}_foot"), ("left_thigh", "right_thigh"),
    )
)  # fmt: skip


class Sinking(NamedTuple):
    """Two parts and the depth of the deepest vertex of either inside the other, metres."""

    parts: tuple[str, str]
    depth: float


class _Part(NamedTuple):
    """Vertex indices; faces of the closed sub-mesh, whose indices run on into the centres of the caps; loops of the cuts."""

    vertices: Int[np.ndarray, " part"]
    faces: Int[np.ndarray, "faces 3"]
    loops: list[np.ndarray]


class PenetrationCheck:
    """Measures poses on the mean shape of one body. The cost of cutting it into parts is paid when it is made."""

    def __init__(self, body: BodyModel) -> None:
        self.body = body
        owner = body.get_buffer("weights").numpy().argmax(1)
        self.parts = {
            name: _cut(body.faces, np.isin(owner, [SMPLX_JOINTS.index(joint) for joint in joints]))
            for name, joints in PARTS.items()
        }

    def __call__(self, draw: PoseDraw, contacts: tuple[tuple[str, str], ...]) -> list[str]:
        """What sinks in too deep, one text a pair of parts; empty for a possible pose."""
        vertices = pose_body(self.body, draw_to_parameters(draw, np.zeros(10))).vertices
        allowed = {frozenset(pair) for pair in contacts}
        return [
            f"{a} is {1000 * depth:.0f} mm inside {b}"
            for (a, b), depth in self.measure(vertices)
            if depth > (MAX_CONTACT_DEPTH if frozenset((a, b)) in allowed else MAX_DEPTH)
        ]

    def measure(self, vertices: Float[np.ndarray, "verts 3"]) -> list[Sinking]:
        """All pairs of parts, not grown together, that sink into each other at all, the deepest first."""
        normals = vertex_normals(vertices.astype(np.float32), self.body.faces)
        points = vertices.astype(np.float64)
        boxes = {name: (points[p.vertices].min(0), points[p.vertices].max(0)) for name, p in self.parts.items()}
        trees = {name: KDTree(points[p.vertices]) for name, p in self.parts.items()}
        names = list(self.parts)
        found = []
        for i, a in enumerate(names):
            for b in names[i + 1 :]:
                apart = (boxes[a][0] > boxes[b][1]).any() or (boxes[b][0] > boxes[a][1]).any()
                if apart or frozenset((a, b)) in GROWN_TOGETHER:
                    continue
                depth = max(
                    self._depth(points, normals, inner, outer, boxes[outer], trees[outer])
                    for inner, outer in ((a, b), (b, a))
                )
                if depth > 0:
                    found.append(Sinking((a, b), depth))
        return sorted(found, key=lambda sinking: -sinking.depth)

    def _depth(
        self,
        points: np.ndarray,
        normals: np.ndarray,
        inner: str,
        outer: str,
        box: tuple[np.ndarray, np.ndarray],
        tree: KDTree,
    ) -> float:
        """Depth of the deepest vertex of `inner` inside `outer`, 0 when none is inside."""
        mine = points[self.parts[inner].vertices]
        mine = mine[((mine >= box[0]) & (mine <= box[1])).all(1)]
        distance, nearest = tree.query(mine, distance_upper_bound=SEARCH_RADIUS)
        near = np.isfinite(distance)
        mine, skin = mine[near], self.parts[outer].vertices[np.asarray(nearest)[near]]
        depth = -((mine - points[skin]) * normals[skin]).sum(1)
        behind = np.flatnonzero(depth > 0)
        behind = behind[np.argsort(-depth[behind], kind="stable")]
        corners = close_mesh(points, self.parts[outer].loops)[self.parts[outer].faces]
        for start in range(0, len(behind), WINDING_CHUNK):
            chunk = behind[start : start + WINDING_CHUNK]
            inside = winding_numbers(mine[chunk], corners) > 0.5
            if inside.any():
                return float(depth[chunk[inside][0]])
        return 0.0


def close_mesh(points: Float[np.ndarray, "verts 3"], loops: list[np.ndarray]) -> Float[np.ndarray, "more 3"]:
    """The vertices, followed by the centres of the caps."""
    return np.concatenate([points, *(points[loop].mean(0, keepdims=True) for loop in loops)])


def winding_numbers(
    points: Float[np.ndarray, "points 3"], corners: Float[np.ndarray, "faces 3 3"]
) -> Float[np.ndarray, " points"]:
    """1 inside a closed mesh, 0 outside: the sum of the faces' solid angles (Van Oosterom and Strackee 1983)."""
    a, b, c = (corners[None, :, k] - points[:, None] for k in range(3))
    la, lb, lc = (np.linalg.norm(side, axis=-1) for side in (a, b, c))
    volume = (a * np.cross(b, c)).sum(-1)
    scale = la * lb * lc + (a * b).sum(-1) * lc + (b * c).sum(-1) * la + (c * a).sum(-1) * lb
    return np.arctan2(volume, scale).sum(-1) / (2 * np.pi)


def _cut(faces: Int[np.ndarray, "faces 3"], mine: Bool[np.ndarray, " verts"]) -> _Part:
    """The sub-mesh of the vertices that are `mine`, closed by a fan over each hole."""
    own = faces[mine[faces].all(1)].astype(np.int64)
    edges = np.concatenate([own[:, [0, 1]], own[:, [1, 2]], own[:, [2, 0]]])
    known = {(int(a), int(b)) for a, b in edges}
    following: dict[int, list[int]] = {}
    for a, b in sorted(known):
        if (b, a) not in known:
            following.setdefault(a, []).append(b)
    loops, caps = [], []
    while following:
        start = min(following)
        loop = [start]
        while True:
            nexts = following[loop[-1]]
            step = nexts.pop()
            if not nexts:
                del following[loop[-1]]
            if step == start:
                break
            loop.append(step)
        centre = len(mine) + len(loops)
        # Against the direction of the part's own edges, so that the caps face outwards too.
        caps += [(loop[(k + 1) % len(loop)], loop[k], centre) for k in range(len(loop))]
        loops.append(np.array(loop))
    used = np.unique(own)
    return _Part(used, np.concatenate([own, np.array(caps, np.int64).reshape(-1, 3)]), loops)
