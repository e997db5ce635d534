"""Matches a folder of Parquet files on Ray."""

import ray
import ray.data

from hashmatch.arrow import Match

match = Match(["fixtures/lists/demo-pdq.csv"], surface="profile_photo")

if __name__ == "__main__":
    ray.init(include_dashboard=False)  # on a cluster: ray.init("auto")
    photos = ray.data.read_parquet("photos", columns=["key", "image"])
    answers = photos.map_batches(match, batch_format="pyarrow", batch_size=256, num_cpus=1)
    answers.write_parquet("matches")
