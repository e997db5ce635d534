"""Finds near-duplicates in a folder of hash tables on Dask, two files a task."""

from itertools import combinations_with_replacement
from pathlib import Path

import pyarrow as pa
from distributed import Client, LocalCluster
from pyarrow import parquet

from hashmatch.arrow import PAIRS, range_join


def pairs_of(left: str, right: str) -> pa.Table:
    """Return the pairs between two files, or inside of one."""
    found = range_join(left, None if left == right else right, max_distance=31)
    return pa.Table.from_batches(found, PAIRS)


if __name__ == "__main__":
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        files = sorted(str(path) for path in Path("hashes").glob("*.parquet"))
        tasks = [client.submit(pairs_of, *two) for two in combinations_with_replacement(files, 2)]
        parquet.write_table(pa.concat_tables(client.gather(tasks)), "pairs.parquet")
