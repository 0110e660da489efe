"""Machines of a fleet are killed, frozen and cut off, for as long as it really takes."""

import time

from bench.fleet import DATABASE, STORE, Fleet
from tests.eventually import patience
from tests.faults.chain import FIRST, SECOND, THIRD, Chain
from tests.faults.sharing import MACHINES, ONE, PAUSE, THREE, TWO, all_work, finish, uploading
from worker.ledger.ledger import LEASE_SECONDS

#: Tasks, workers and sessions that are lost, and tasks that a lost worker has left.
_LOSSES = (
    "TRUNCATE pipeline.procrastinate_jobs CASCADE",
    "DELETE FROM pipeline.procrastinate_workers",
    "SET search_path = pipeline; UPDATE procrastinate_jobs SET status = 'doing', worker_id = NULL",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND query LIKE 'LISTEN %'",
)


def test_frozen_killed_and_cut_off(chains: dict[str, Chain]) -> None:
    chain, names = chains["versions"], (FIRST, SECOND, THIRD)
    chain.begin()
    for name, lister in zip(names, MACHINES, strict=True):
        chain.share(name, MACHINES, lister)
    with Fleet(chain.pipeline, MACHINES, names, pause=PAUSE) as fleet:
        one, two, three = (fleet.machines[name] for name in MACHINES)
        with uploading(chain, every=2):
            all_work(chain, *MACHINES)
            one.freeze()
            two.links[DATABASE].cut()
            time.sleep((LEASE_SECONDS + 5) * patience())
            all_work(chain, THREE)
            one.thaw()
            two.links[DATABASE].mend()
            three.kill()
            all_work(chain, ONE, TWO)
            two.links[STORE].cut()
            all_work(chain, ONE)
            three.start()
            two.links[STORE].mend()
            all_work(chain, *MACHINES)
        finish(chain, fleet, names)


def test_the_queue_loses_everything(chains: dict[str, Chain]) -> None:
    """The bucket is the source of truth: what procrastinate's tables lose is listed again."""
    chain, machines = chains["versions"], (ONE, TWO)
    chain.begin()
    chain.share(FIRST, machines, ONE)
    with Fleet(chain.pipeline, machines, [FIRST]) as fleet:
        with uploading(chain, every=0.5):
            all_work(chain, *machines)
            for statement in _LOSSES:
                chain.pipeline.sql(statement)
                all_work(chain, *machines)
        finish(chain, fleet, [FIRST])
