"""Functions whose results are remembered, and computed once however many threads want them at the same time."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import ParamSpec, TypeVar
from weakref import WeakValueDictionary

P = ParamSpec("P")
T = TypeVar("T")


def once(
    size: int, function: Callable[P, T], turn: Callable[[], AbstractContextManager[object]] = threading.Lock
) -> Callable[P, T]:
    """Return a function that remembers its last `size` results; an exception is not remembered.

    While a result is being computed, whoever wants the same waits for it; or raises what a `turn` that is taken raises.
    """
    remembered = lru_cache(size)(function)
    guard, turns = threading.Lock(), WeakValueDictionary[object, AbstractContextManager[object]]()

    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        with guard:
            mine = turns.setdefault((args, *kwargs.items()), turn())
        with mine:
            return remembered(*args, **kwargs)  # type: ignore[arg-type]  # an argument that is not hashable raises

    return call
