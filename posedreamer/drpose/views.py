"""PSHuman's six views of a person: orthographic cameras round the vertical axis through the body, two of them mirrored.

A subject's frame is that of the camera that took the picture (x right, y down, z forward, metres), moved to the middle of the body's
bounding box and divided by the box's diagonal, so that every view holds the whole body in a square of side 1. The front view looks along
the picture's own axis (without its perspective); at azimuth 90 degrees the camera stands to the right in the picture, at the left
hand of somebody who faces it. PSHuman mirrors its back and left views (positions 3 and 4), and so does whoever reads or writes them here.
Source: pengHTYX/PSHuman, blender/blender_render_human_ortho.py, utils/project_mesh.py, mvdiffusion/data/dreamdata.py.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class View(NamedTuple):
    """azimuth: degrees; is_mirrored: the stored picture is the mirror image of what the camera sees."""

    name: str
    azimuth: float
    is_mirrored: bool


VIEWS = (
    View("front", 0.0, False),
    View("front_right", 45.0, False),
    View("right", 90.0, False),
    View("back", 180.0, True),
    View("left", 270.0, True),
    View("front_left", 315.0, False),
)


class SubjectFrame(NamedTuple):
    """centre: middle of the body's bounding box in the camera frame; diagonal: of that box. Metres."""

    centre: Float[Tensor, "batch 3"]
    diagonal: Float[Tensor, " batch"]

    @classmethod
    def of(cls, vertices: Float[Tensor, "batch verts 3"]) -> "SubjectFrame":
        """Of posed bodies in the camera frame."""
        low, high = vertices.amin(dim=1), vertices.amax(dim=1)
        return cls((low + high) / 2, (high - low).norm(dim=1))

    def normalise(self, points: Float[Tensor, "batch points 3"]) -> Float[Tensor, "batch points 3"]:
        """Camera frame to subject frame."""
        return (points - self.centre[:, None]) / self.diagonal[:, None, None]


def rotate_to_view(points: Float[Tensor, "*batch points 3"], azimuth: float) -> Float[Tensor, "*batch points 3"]:
    """Points (or normals) of the subject's frame in the axes of the camera at an azimuth: x right, y down, z forward."""
    angle = torch.deg2rad(torch.tensor(azimuth, dtype=points.dtype, device=points.device))
    cos, sin = angle.cos(), angle.sin()
    x, y, z = points.unbind(dim=-1)
    return torch.stack([cos * x + sin * z, y, cos * z - sin * x], dim=-1)


def rotate_from_view(points: Float[Tensor, "*batch points 3"], azimuth: float) -> Float[Tensor, "*batch points 3"]:
    """The way back: PSHuman's normals are those of the front camera's axes in every view."""
    return rotate_to_view(points, -azimuth)


def project_to_views(
    points: Float[Tensor, "batch points 3"], size: int, as_stored: bool = True
) -> Float[Tensor, "batch views points 3"]:
    """Points of the subject's frame in all VIEWS: u, v in pixels of a square picture from its corner, and depth (1 is the box's diagonal).

    as_stored: mirrored views as they are stored; False: as their cameras see them.
    """
    found = []
    for view in VIEWS:
        x, y, z = rotate_to_view(points, view.azimuth).unbind(dim=-1)
        u = -x if view.is_mirrored and as_stored else x
        found.append(torch.stack([(u + 0.5) * size, (y + 0.5) * size, z], dim=-1))
    return torch.stack(found, dim=1)


def mirror_stored(maps: Float[Tensor, "*batch views channels h w"]) -> Float[Tensor, "*batch views channels h w"]:
    """Pictures of all views from what the cameras see to what is stored, and back."""
    mirrored = torch.tensor([view.is_mirrored for view in VIEWS], device=maps.device)
    return torch.where(mirrored[:, None, None, None], maps.flip(-1), maps)


def triangulate(
    keypoints: Float[Tensor, "batch views points 2"], weights: Float[Tensor, "batch views points"], size: int
) -> Float[Tensor, "batch points 3"]:
    """The points of the subject's frame that lie nearest to keypoints of the views as the cameras see them: weighted least squares.

    keypoints: pixels of square pictures, not mirrored. Each view gives two equations, so two views of another azimuth suffice.
    """
    rows = [
        rotate_to_view(torch.eye(3, dtype=keypoints.dtype, device=keypoints.device), view.azimuth).T[:2]
        for view in VIEWS
    ]
    design = torch.cat(rows)  # (2 views, 3): x and y of each view from a point
    seen = (keypoints / size - 0.5).transpose(1, 2).flatten(2)  # (batch, points, 2 views)
    weight = weights.transpose(1, 2).repeat_interleave(2, dim=2)
    normal = torch.einsum("bpr,ri,rj->bpij", weight, design, design)
    right = torch.einsum("bpr,ri,bpr->bpi", weight, design, seen)
    return torch.linalg.solve(normal, right)
