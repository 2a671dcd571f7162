"""Lets timm import beside a CPU-only torch.

timm imports torchvision, whose Linux wheels in the Python registry are linked against CUDA. Beside
a torch without CUDA their compiled operators do not load, and then `import torchvision` fails,
because it describes operators that do not exist. Declaring those is enough: nothing here calls
them.
"""

import importlib
import sys

import torch

_OPERATORS = ('nms', 'qnms')
"""Those that torchvision 0.28 describes while it is imported; `qnms` is new in 0.28."""

_library: torch.library.Library | None = None
"""Keeps the declarations alive: they vanish with this object."""


def allow_cpu_torchvision() -> None:
    """Import torchvision, and declare its operators where its own do not load.

    Does nothing where torch has CUDA or torchvision is absent. Call it before timm is imported.
    """
    global _library
    if torch.version.cuda is not None:
        return
    try:
        # First as it is: declaring an operator that a matching wheel brings along is an error.
        importlib.import_module('torchvision')
    except ModuleNotFoundError:
        return
    except RuntimeError as error:
        if 'torchvision::nms does not exist' not in str(error):
            raise
        for name in [name for name in sys.modules if name.split('.')[0] == 'torchvision']:
            del sys.modules[name]
        _library = torch.library.Library('torchvision', 'FRAGMENT')
        for operator in _OPERATORS:
            _library.define(
                f'{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor'
            )
        importlib.import_module('torchvision')
