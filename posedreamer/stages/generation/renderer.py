"""Stage 2 without a model: the label photographed by a renderer.

`renderer` makes the "rendered dataset" that the papers compare with: everything else of the line stays as it is, so rendered and
generated datasets differ in their pictures alone. `second_renderer` makes pictures of another look, to test learners on.
"""

import hashlib
from dataclasses import replace

from posedreamer.bodies.catalog import OPEN_BODY_DIRECTORY, load_body, load_wardrobe
from posedreamer.rendering.opengl_people import render_person_opengl
from posedreamer.rendering.people import render_person
from posedreamer.sample import Picture, Sample, failed
from posedreamer.seeds import generator_for, seed_for

RENDERER = "renderer"  # as `generator.model`
SECOND_RENDERER = "second_renderer"
RENDERERS = (RENDERER, SECOND_RENDERER)
VERSION = 2  # raise it when the look of pictures changes: coats, prints and a camera came with 2
SECOND_IDENTITY = f"{SECOND_RENDERER}-v1"  # likewise


class RenderingStage:
    """Draws the dressed open body of each label in the scene that its prompt names; a prompt lacks no attribute for that."""

    def setup(self) -> None:
        self.body, self.wardrobe = load_body("open"), load_wardrobe()
        self.identity = self.check_inputs()[f"generator:{RENDERER}"]

    def check_inputs(self) -> dict[str, str]:
        """Name -> identity: the renderer's version and the hash of the clothes."""
        digest = hashlib.sha256((OPEN_BODY_DIRECTORY / "wardrobe.npz").read_bytes()).hexdigest()
        return {f"generator:{RENDERER}": f"{RENDERER}-v{VERSION}@sha256:{digest[:16]}"}

    def __call__(self, samples: list[Sample]) -> list[Sample]:
        return [self._render(sample) if sample.is_pending else sample for sample in samples]

    def _render(self, sample: Sample) -> Sample:
        label, prompt = sample.label, sample.prompt
        if label is None or prompt is None:
            return failed(sample, "incomplete: label and prompt are needed")
        try:
            rgb = render_person(
                self.body, self.wardrobe, label.parameters, label.K, label.width, label.height, prompt.attributes,
                generator_for(sample.run_seed, sample.key, "noise"), T_cam_from_world=label.T_cam_from_world,
            )  # fmt: skip
        except ValueError as error:
            return failed(sample, f"not_rendered: {error}")
        return replace(sample, image=Picture(rgb, self.identity, seed_for(sample.run_seed, sample.key, "noise")))


class SecondRenderingStage:
    """Draws the body of each label by OpenGL, in clothes and scenes of its own: the prompt says nothing about these pictures."""

    def __init__(self, body: str) -> None:
        self.body_name = body

    def setup(self) -> None:
        self.body = load_body(self.body_name)

    def check_inputs(self) -> dict[str, str]:
        """Name -> identity: the renderer's version."""
        return {f"generator:{SECOND_RENDERER}": SECOND_IDENTITY}

    def __call__(self, samples: list[Sample]) -> list[Sample]:
        return [self._render(sample) if sample.is_pending else sample for sample in samples]

    def _render(self, sample: Sample) -> Sample:
        label = sample.label
        if label is None:
            return failed(sample, "incomplete: a label is needed")
        rgb = render_person_opengl(
            self.body, label.parameters, label.K, label.width, label.height, label.T_cam_from_world,
            generator_for(sample.run_seed, sample.key, "noise"),
        )  # fmt: skip
        return replace(sample, image=Picture(rgb, SECOND_IDENTITY, seed_for(sample.run_seed, sample.key, "noise")))
