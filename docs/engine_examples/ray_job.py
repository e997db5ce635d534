"""Matches a folder of Parquet files on Ray."""

import ray
import ray.data

from hashmatch.arrow import Match

match = Match(["fixtures/lists/demo-pdq.csv"], surface="profile_photo")

if __name__ == "__main__":
    ray.init(include_dashboard=False)  # on a cluster: ray.init("auto")
    photos = ray.data.read_parquet("photos", columns=["key", "image"])
    # A block is a task, and what a worker that dies costs; Ray makes one of many small files.
    photos = photos.repartition(target_num_rows_per_block=5000)
    answers = photos.map_batches(match, batch_format="pyarrow", batch_size=256, num_cpus=1)
    answers.write_parquet("matches")
