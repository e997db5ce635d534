"""Matches a folder of Parquet files on Dask, a file a task."""

from pathlib import Path

from distributed import Client, LocalCluster, as_completed
from pyarrow import parquet

from hashmatch.arrow import Match

match = Match(["fixtures/lists/demo-pdq.csv"], surface="profile_photo")


def match_file(path: str) -> str:
    """Write what became of the pictures of a file beside it, and return where."""
    answer = Path(path).with_suffix(".matches")
    batches = parquet.ParquetFile(path).iter_batches(256, columns=["key", "image"])
    with parquet.ParquetWriter(answer, match.schema) as writer:
        for batch in match.map_iterator(batches):
            writer.write_batch(batch)
    return str(answer)


if __name__ == "__main__":
    # On a cluster: Client("scheduler:8786").
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        files = sorted(str(path) for path in Path("photos").glob("*.parquet"))
        waiting = set(client.map(match_file, files))
        for future in as_completed(waiting):
            future.result()  # raises what the task did
            waiting.discard(future)  # or else it is done again if its worker dies
