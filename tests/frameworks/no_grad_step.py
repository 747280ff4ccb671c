"""Runs a script with DeepSpeed's engine stepping without gradients: before 0.19 it changes a view in place, which torch
2.13 refuses otherwise (the shim `no-grad-step` of `lockstep run`)."""

import runpy
import sys

import torch
from deepspeed.runtime.engine import DeepSpeedEngine

step = DeepSpeedEngine.step


def without_gradients(self, *args, **kwargs):
    with torch.no_grad():
        return step(self, *args, **kwargs)


DeepSpeedEngine.step = without_gradients
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
