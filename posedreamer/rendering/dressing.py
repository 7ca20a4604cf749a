"""What is known of a dressed person before the pose is: which skin a garment hides, where lips, brows and eyes are."""

import itertools
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Int32
from scipy.spatial import KDTree

from posedreamer.bodies.body import BodyModel
from posedreamer.bodies.posing import pose_body, rest_parameters
from posedreamer.bodies.wardrobe import Wardrobe, pose_garment
from posedreamer.geometry.skeletons import OUTPUT_JOINTS, SMPLX_JOINTS
from posedreamer.rendering.rasterizer import vertex_normals

# Skin deeper than this under cloth (metres, along its normal) is not looked for: the cloth belongs to another limb.
COVER_DEPTH = 0.09
# Skin this near to a hem stays, so that no gap opens when the hem moves.
HEM_MARGIN = 0.015
# How much nearer to the camera each further layer is drawn.
LIFT_STEP = 0.006


class Outfit(NamedTuple):
    """Merged mesh: body vertices, then those of each garment. lift: metres towards the camera, for `people.py`."""

    faces: Int32[np.ndarray, "faces 3"]
    lift: Float32[np.ndarray, " verts"]


class Layer(NamedTuple):
    """One surface of a dressed body in the rest pose: the skin, or a garment."""

    name: str
    vertices: Float[np.ndarray, "verts 3"]
    normals: Float[np.ndarray, "verts 3"]
    faces: Int[np.ndarray, "faces 3"]


class Dresser:
    """A body and its wardrobe, with what can be computed once: the cost is paid at a garment's first picture."""

    def __init__(self, body: BodyModel, wardrobe: Wardrobe) -> None:
        self.body, self.wardrobe = body, wardrobe
        self._rest = pose_body(body, rest_parameters())
        self._layers: dict[str, Layer] = {}
        self._cover: dict[tuple[str, str], Bool[np.ndarray, " verts"]] = {}
        self._skin_paint: SkinPaint | None = None

    def outfit(self, garments: tuple[str, ...]) -> Outfit:
        """The merged mesh of the body in these garments, listed from inside to outside. An unknown name is a ValueError."""
        layers = [self.layer(name) for name in ("skin", *garments)]
        faces, lift, start = [], [], 0
        for depth, inner in enumerate(layers):
            hidden = np.zeros(len(inner.vertices), dtype=bool)
            for outer in layers[depth + 1 :]:
                hidden |= self._covered(inner, outer)
            faces.append(inner.faces[~hidden[inner.faces].all(axis=1)] + start)
            lift.append(np.full(len(inner.vertices), LIFT_STEP * depth, dtype=np.float32))
            start += len(inner.vertices)
        return Outfit(np.concatenate(faces).astype(np.int32), np.concatenate(lift))

    def layer(self, name: str) -> Layer:
        """A garment, or the `skin`, on the mean body in the T-pose. An unknown name is a ValueError."""
        if name not in self._layers:
            if name == "skin":
                vertices, faces = self._rest.vertices, self.body.faces
            elif name in self.wardrobe.garments:
                garment = self.wardrobe.garments[name]
                vertices, faces = pose_garment(garment, rest_parameters(), self._rest), garment.faces
            else:
                raise ValueError(f"wardrobe has no {name}; it has {', '.join(sorted(self.wardrobe.garments))}")
            self._layers[name] = Layer(name, vertices, vertex_normals(vertices, faces), faces)
        return self._layers[name]

    def skin_paint(self) -> "SkinPaint":
        """Where lips, brows and eyes are."""
        if self._skin_paint is None:
            self._skin_paint = make_skin_paint(self.body)
        return self._skin_paint

    def _covered(self, inner: Layer, outer: Layer) -> Bool[np.ndarray, " verts"]:
        key = (inner.name, outer.name)
        if key not in self._cover:
            self._cover[key] = is_covered(inner, outer)
        return self._cover[key]


_dressers: dict[tuple[int, int], Dresser] = {}


def dresser_for(body: BodyModel, wardrobe: Wardrobe) -> Dresser:
    """The Dresser of this very body and wardrobe, made once a process."""
    key = (id(body), id(wardrobe))
    if key not in _dressers:
        _dressers[key] = Dresser(body, wardrobe)  # holds both, so their ids stay theirs
    return _dressers[key]


def is_covered(inner: Layer, outer: Layer) -> Bool[np.ndarray, " verts"]:
    """Vertices of the inner layer that lie under the outer one, away from its hems."""
    corners = outer.vertices[outer.faces]
    # The cloth as a dense cloud: corners, edge middles and centres of its triangles.
    edges = [(corners[:, i] + corners[:, i - 1]) / 2 for i in range(3)]
    cloud = np.concatenate([outer.vertices, corners.mean(axis=1), *edges])
    distance, nearest = KDTree(cloud).query(inner.vertices, distance_upper_bound=COVER_DEPTH)
    distance, nearest = np.asarray(distance), np.asarray(nearest)
    found = np.isfinite(distance)
    outward = np.full(len(distance), -1.0)
    outward[found] = ((cloud[nearest[found]] - inner.vertices[found]) * inner.normals[found]).sum(axis=1)
    is_under = found & (outward > 0.8 * np.where(found, distance, 0.0) - 0.004)
    hems = outer.vertices[boundary_vertices(outer.faces)]
    if len(hems) == 0:
        return is_under
    # Skin above a collar is nearest to the collar, not under it: what is nearest to a hem stays.
    from_hem = KDTree(hems).query(inner.vertices)[0]
    return is_under & (from_hem > np.where(found, distance, 0.0) + HEM_MARGIN)


def boundary_vertices(faces: Int[np.ndarray, "faces 3"]) -> Int[np.ndarray, " hems"]:
    """Vertices of edges that belong to one face only, sorted."""
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    unique, counts = np.unique(edges, axis=0, return_counts=True)
    return np.unique(unique[counts == 1])


class SkinPaint(NamedTuple):
    """How much of each vertex is lip, brow, flushed skin, white of the eye, iris, pupil: 0 to 1."""

    lips: Float32[np.ndarray, " verts"]
    brows: Float32[np.ndarray, " verts"]
    flush: Float32[np.ndarray, " verts"]
    white: Float32[np.ndarray, " verts"]
    iris: Float32[np.ndarray, " verts"]
    pupil: Float32[np.ndarray, " verts"]

    def albedo(
        self, skin: Float[np.ndarray, "3"], hair: Float[np.ndarray, "3"], rng: np.random.Generator
    ) -> Float32[np.ndarray, "verts 3"]:
        """Linear colours of the bare body. The iris is brown, blue or green."""
        iris = np.array([(0.10, 0.05, 0.02), (0.12, 0.22, 0.38), (0.12, 0.2, 0.1)][int(rng.integers(3))])
        layers = (
            (self.flush, skin * [1.06, 0.72, 0.68]),
            (self.lips, skin * [0.92, 0.56, 0.56]),
            (self.brows, np.minimum(hair * 0.7, skin * 0.6)),
            (self.white, np.array([0.82, 0.82, 0.80])),
            (self.iris, iris),
            (self.pupil, np.array([0.01, 0.01, 0.01])),
        )
        albedo = np.broadcast_to(skin, (len(self.lips), 3)).astype(np.float32)
        for amount, color in layers:
            albedo = albedo + amount[:, None] * (color.astype(np.float32) - albedo)
        return albedo


def make_skin_paint(body: BodyModel) -> SkinPaint:
    """Where the features are, found on the rest body from its face landmarks and eye joints."""
    rest = pose_body(body, rest_parameters())
    vertices, part = rest.vertices, body.weights.numpy().argmax(axis=1)
    is_eye = np.isin(part, [SMPLX_JOINTS.index("left_eye_smplhf"), SMPLX_JOINTS.index("right_eye_smplhf")])
    named = dict(zip(OUTPUT_JOINTS, rest.joints, strict=True))
    head = ~is_eye & np.isin(part, [SMPLX_JOINTS.index("head"), SMPLX_JOINTS.index("jaw"), SMPLX_JOINTS.index("neck")])
    lip_line = [
        named[f"{side}_mouth_{i}"] for side in ("left", "right") for i in range(1, 6) if (side, i) in _LIP_PLACES
    ]
    middle = np.mean([named["mouth_top"], named["mouth_bottom"]], axis=0)
    half_width = float(np.abs([p[0] for p in lip_line]).max())
    half_height = float(named["mouth_top"][1] - named["mouth_bottom"][1]) / 2
    x, y = (vertices[:, 0] - middle[0]) / half_width, (vertices[:, 1] - middle[1]) / (half_height * 1.05)
    near_face = head & (vertices[:, 2] > middle[2] - 0.03)
    lips = near_face * _soft(1.0 - np.abs(x) ** 1.6 - np.abs(y) ** 2, 0.25)
    brows = np.zeros(len(vertices), dtype=np.float32)
    for side in ("left", "right"):
        arc = np.array([named[f"{side}_eye_brow{i}"] for i in range(1, 5)])
        fine = np.concatenate([np.linspace(a, b, 12) for a, b in itertools.pairwise(arc)])
        brows = np.maximum(brows, 0.85 * head * _soft(0.0042 - KDTree(fine).query(vertices)[0], 0.004))
    cheeks = np.zeros(len(vertices), dtype=np.float32)
    for side in (-1.0, 1.0):
        cheek = np.array([side * 0.045, named["nose"][1] + 0.002, named["nose"][2] - 0.03])
        cheeks = np.maximum(cheeks, np.exp(-(((vertices - cheek) ** 2).sum(axis=1)) / 0.022**2))
    nose = np.exp(-((vertices - named["nose"]) ** 2).sum(axis=1) / 0.014**2)
    flush = 0.35 * head * np.maximum(cheeks, nose)
    angle = np.full(len(vertices), np.pi)
    for joint in ("left_eye_smplhf", "right_eye_smplhf"):
        one = part == SMPLX_JOINTS.index(joint)
        ball = vertices[one]
        out = ball - (ball.min(axis=0) + ball.max(axis=0)) / 2
        angle[one] = np.arccos(np.clip(out[:, 2] / np.linalg.norm(out, axis=1), -1.0, 1.0))
    return SkinPaint(
        *(np.asarray(amount, dtype=np.float32) for amount in (
            lips, brows, flush, is_eye, is_eye * _soft(0.62 - angle, 0.15), is_eye * _soft(0.3 - angle, 0.1),
        ))
    )  # fmt: skip


_LIP_PLACES = {("left", 1), ("right", 1)}


def _soft(signed: Float[np.ndarray, " verts"], width: float) -> Float32[np.ndarray, " verts"]:
    return np.clip(signed / width + 0.5, 0.0, 1.0).astype(np.float32)
