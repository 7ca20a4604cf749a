"""Batches made by threads before they are asked for: an accelerator does not wait for pictures to be decoded."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Batch = TypeVar("Batch")


class Ahead(Generic[Batch]):
    """Calls `make(step, part)`, and has the following steps' batches of the same part made meanwhile by `loaders` threads.

    make must give the same batch for the same step, whichever thread calls it. Without loaders it is called when asked.
    """

    def __init__(self, make: Callable[[int, slice], Batch], loaders: int) -> None:
        self.make, self.loaders = make, loaders
        self._pool = ThreadPoolExecutor(loaders, thread_name_prefix="loader") if loaders else None
        self._coming: dict[tuple[int, int | None], Future[Batch]] = {}

    def __call__(self, step: int, part: slice) -> Batch:
        if self._pool is None:
            return self.make(step, part)
        for later in range(step, step + self.loaders + 1):
            if (later, part.start) not in self._coming:
                self._coming[later, part.start] = self._pool.submit(self.make, later, part)
        return self._coming.pop((step, part.start)).result()
