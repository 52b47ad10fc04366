"""Estimate pi by a Dask cluster: the first of the peers schedules and asks, the others work until it has its answer."""

import asyncio
import json
import os
import random
from pathlib import Path

from distributed import Client, Scheduler, Worker

RANK, SIZE = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
PORT, DRAWS, TASKS = int(os.environ["MASTER_PORT"]), 200_000, 20


def hits(seed):
    draw = random.Random(seed).random
    return sum(draw() ** 2 + draw() ** 2 < 1 for _ in range(DRAWS))


async def ask():
    async with Scheduler(port=PORT, dashboard=False) as scheduler:
        async with Client(scheduler.address, asynchronous=True) as client:
            await client.wait_for_workers(SIZE - 1)
            counts = await client.gather(client.map(hits, range(TASKS)))
            workers = len(scheduler.workers)
            await client.retire_workers()
    pi = 4 * sum(counts) / (DRAWS * TASKS)
    print(f"{workers} workers say that pi is {pi:.4f}")
    Path(os.environ["COACHWORK_METRICS"]).write_text(json.dumps({"pi": pi, "workers": workers}))


async def work():
    async with Worker(f"tcp://{os.environ['MASTER_ADDR']}:{PORT}", nthreads=1, dashboard=False) as worker:
        await worker.finished()


if __name__ == "__main__":
    asyncio.run(work() if RANK else ask())
