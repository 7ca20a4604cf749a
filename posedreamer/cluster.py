"""The Ray cluster: joining the one that a job runs on, or starting one on this machine for the length of a run.

Token authentication stays as Ray has it, on by default (README, "On a cluster"). Nothing here stops a cluster that it did
not start.
"""

import contextlib
import logging
import os
from collections.abc import Iterator

import ray

from posedreamer.engine_config import EngineConfig

log = logging.getLogger(__name__)


@contextlib.contextmanager
def connected(engine: EngineConfig) -> Iterator[None]:
    """Ray for the length of the block: the cluster of RAY_ADDRESS (set inside a submitted job), or one on this machine.

    Leaving the block leaves the cluster, and stops it when it was started here.
    """
    if ray.is_initialized():
        raise ValueError("ray is already initialised in this process; a run connects by itself")
    if "RAY_ADDRESS" in os.environ:
        ray.init(log_to_driver=False, logging_level=logging.ERROR)
    else:
        # Ray's C++ side writes an error about Ray Data's own actors to stderr at every start (ray issue 53727).
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
        # The dashboard would be half of Ray's memory on a laptop. Logical CPUs: as many as the pools reserve, and one for
        # Ray Data's own tasks, so that a large configuration queues for time and never for slots.
        ray.init(
            address="local",
            num_cpus=max(os.cpu_count() or 1, _reserved_cpus(engine) + 1),
            include_dashboard=False,
            object_store_memory=engine.object_store_mb * 1024 * 1024,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    log.info("ray %s: %s", ray.__version__, ray.cluster_resources())
    try:
        yield
    finally:
        ray.shutdown()


def _reserved_cpus(engine: EngineConfig) -> int:
    pools = (engine.sampling, engine.generation, engine.mining, engine.filtering)
    return int(sum(pool.actors * pool.cpus for pool in pools) + 0.999)
