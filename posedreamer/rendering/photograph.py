"""From linear light to a photograph: depth of field, exposure, white balance, vignette, a soft lens and a noisy sensor."""

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from posedreamer.rendering.canvas import View, ramp
from posedreamer.rendering.shading import linear_to_srgb

REFERENCE_SIZE = 256  # blur is given in pixels of a picture of this height
FAR_BLUR = 2.5
FOCUS_FROM, FOCUS_WIDTH = 1.2, 2.0  # metres behind the body where the background begins to blur, and how soon it does


def out_of_focus(
    background: Float[np.ndarray, "h w 3"], view: View, rng: np.random.Generator
) -> Float32[np.ndarray, "h w 3"]:
    """The picture without the body, blurred where it is farther off: in half of all pictures, and then more or less."""
    sigma = max(0.0, rng.uniform(-FAR_BLUR, FAR_BLUR)) * len(background) / REFERENCE_SIZE
    sharp = background.astype(np.float32)
    if sigma < 0.3:
        return sharp
    far = ramp(view.ground_z, FOCUS_FROM, FOCUS_WIDTH)[..., None]
    return sharp + far * (cv2.GaussianBlur(sharp, (0, 0), sigma) - sharp)


def photograph(linear: Float[np.ndarray, "h w 3"], rng: np.random.Generator) -> UInt8[np.ndarray, "h w 3"]:
    """Display values of a scene in linear light, as a camera of middling quality takes them."""
    height, width = linear.shape[:2]
    gain = np.exp(rng.normal(0.0, 0.06)) * np.exp(rng.normal(0.0, 0.02, 3))
    rows, columns = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    vignette = 1.0 - rng.uniform(0.0, 0.18) * (rows**2 + columns**2) / 2
    exposed = (linear * gain * vignette[..., None]).astype(np.float32)
    softness = rng.uniform(0.0, 0.55) * height / REFERENCE_SIZE
    if softness > 0.25:
        exposed = cv2.GaussianBlur(exposed, (0, 0), softness)
    shown = linear_to_srgb(exposed).astype(np.float32)
    grain = rng.standard_normal((height, width, 1), dtype=np.float32) + 0.5 * rng.standard_normal(
        (height, width, 3), dtype=np.float32
    )
    return np.clip(np.rint(shown + rng.uniform(0.0, 1.6) * grain), 0, 255).astype(np.uint8)
