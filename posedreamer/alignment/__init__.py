"""Preference alignment: of several pictures of one label the best is preferred over the worst, and the generator learns from it."""

from posedreamer import torchvision_shim

torchvision_shim.install()  # before peft, trl and diffusers, which all import torchvision
