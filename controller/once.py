"""Functions whose results are remembered, and computed once however many threads want them at the same time."""

import threading
from collections.abc import Callable
from functools import lru_cache
from typing import ParamSpec, TypeVar
from weakref import WeakValueDictionary

P = ParamSpec("P")
T = TypeVar("T")


def once(size: int, function: Callable[P, T]) -> Callable[P, T]:
    """Return a function that remembers its last `size` results; an exception is not remembered.

    While a result is being computed, whoever wants the same waits for it.
    """
    remembered = lru_cache(size)(function)
    guard, turns = threading.Lock(), WeakValueDictionary[object, threading.Lock]()

    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        with guard:
            turn = turns.setdefault((args, *kwargs.items()), threading.Lock())
        with turn:
            return remembered(*args, **kwargs)  # type: ignore[arg-type]  # an argument that is not hashable raises

    return call
