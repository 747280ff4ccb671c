"""Waits for torch: a process that never imports it is left alone."""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.util
import sys
from typing import Any

from lockstep_recorder.settings import Settings


def when_torch_comes() -> None:
    """Have the settings of this process carried out as soon as torch is there; nothing where it has none."""
    settings = Settings.from_environment()
    if settings is None:
        return
    if "torch" in sys.modules:
        _begin(settings)
    else:
        sys.meta_path.insert(0, _Finder(settings))


def _begin(settings: Settings) -> None:
    try:
        from lockstep_recorder.watcher import Watcher

        Watcher(settings).install()
    except Exception as error:  # noqa: BLE001  the training goes on without being watched
        print(f"lockstep: nothing is recorded: {type(error).__name__}: {error}", file=sys.stderr)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds torch as it would be found without it, and has it loaded by `_Loader`.

    It stays until torch is loaded: many a library only asks whether there is a torch, long before anybody imports it.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._asking = False

    def find_spec(self, name: str, _path: Any = None, _target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if name != "torch" or self._asking:
            return None
        self._asking = True
        try:
            spec = importlib.util.find_spec("torch")
        finally:
            self._asking = False
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self, self._settings)
        return spec


class _Loader(importlib.abc.Loader):
    """A loader, and what comes after it."""

    def __init__(self, inner: Any, finder: _Finder, settings: Settings) -> None:
        self._inner = inner
        self._finder = finder
        self._settings = settings

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def create_module(self, spec: Any) -> Any:
        return self._inner.create_module(spec)

    def exec_module(self, module: Any) -> None:
        with contextlib.suppress(ValueError):  # others may have put a list of their own there
            sys.meta_path.remove(self._finder)
        spec = module.__spec__
        spec.loader = module.__loader__ = self._inner
        self._inner.exec_module(module)
        _begin(self._settings)
