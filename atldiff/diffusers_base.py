"""The classes of diffusers that ours build on, without the 1,800 modules that come with them.

DiffusionPipeline's module imports autoencoders, the modelling of transformers and the compiler of torch. Ours
use none of them, and they are half of a cold start. Stand-ins take their places while diffusers is imported.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType, SimpleNamespace
from typing import Any

import torch  # whole, before its compiler has a stand-in

_COMPILER = "torch._dynamo"
_CLASSES = (
    ("transformers", "PreTrainedModel", "transformers.modeling_utils"),
    ("diffusers.models", "AutoencoderKL", "diffusers.models.autoencoders.autoencoder_kl"),
)


class _Absent(type):
    """Makes a stand-in for a class. While the class is not imported, no object is of it."""

    home: str  # the module of the class

    def __instancecheck__(cls, instance: Any) -> bool:
        return issubclass(type(instance), cls)

    def __subclasscheck__(cls, subclass: type) -> bool:
        module = sys.modules.get(cls.home)
        return module is not None and issubclass(subclass, getattr(module, cls.__name__))


def _leave_as_it_is(function: Any = None, *_: Any, **__: Any) -> Any:
    """Decorates nothing, with or without arguments of the decorator."""
    return function if callable(function) else lambda decorated: decorated


@contextmanager
def without_compiler() -> Iterator[None]:
    """Keeps diffusers from importing torch's compiler within the block; nothing is compiled there.

    Networks of diffusers itself that are imported there lack their hints for `torch.compile`.
    """
    compiler = ModuleType(_COMPILER)
    compiled = _Absent("OptimizedModule", (), {"home": f"{_COMPILER}.eval_frame"})
    compiler.__dict__.update(allow_in_graph=_leave_as_it_is, disable=_leave_as_it_is)
    compiler.__dict__.update(eval_frame=SimpleNamespace(OptimizedModule=compiled))
    sys.modules.setdefault(_COMPILER, compiler)
    try:
        yield
    finally:
        if sys.modules.get(_COMPILER) is compiler:
            del sys.modules[_COMPILER]


@contextmanager
def without_networks(*more: tuple[str, str, str]) -> Iterator[None]:
    """Sets stand-ins for networks that are not imported yet, and removes them at the end.

    Args:
        more: (package, name, module) of networks beside those that diffusers' pipelines bring.
    """
    owners = []
    for package, name, home in (*_CLASSES, *more):
        if home not in sys.modules:
            owners.append((import_module(package), name))
            setattr(owners[-1][0], name, _Absent(name, (), {"home": home}))
    try:
        yield
    finally:
        for owner, name in owners:
            delattr(owner, name)


with without_compiler(), without_networks():
    import diffusers
    import diffusers.hooks  # noqa: F401 - from_pretrained imports it
    from diffusers import ConfigMixin, DDIMScheduler, DiffusionPipeline
    from diffusers.configuration_utils import register_to_config
    from diffusers.models.embeddings import TimestepEmbedding, Timesteps
    from diffusers.utils import BaseOutput, logging


class ModelMixin(diffusers.ModelMixin):
    """A model whose weights all have one type and one device, which its first weight tells.

    diffusers asks all modules, each time: 3 ms for the U-Net, ten times a window.
    """

    @property
    def dtype(self) -> torch.dtype:
        """The type of the weights."""
        return next(self.parameters()).dtype

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.parameters()).device


__all__ = [
    "BaseOutput",
    "ConfigMixin",
    "DDIMScheduler",
    "DiffusionPipeline",
    "ModelMixin",
    "TimestepEmbedding",
    "Timesteps",
    "logging",
    "register_to_config",
    "without_compiler",
    "without_networks",
]
