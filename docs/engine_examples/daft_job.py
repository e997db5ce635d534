"""Matches a folder of Parquet files on Daft."""

import daft
import pyarrow as pa

from hashmatch.arrow import MATCHES, Match


@daft.cls(use_process=True, max_concurrency=2)
class Matched:
    """A `Match` in processes of its own."""

    def __init__(self, match: Match) -> None:
        self.match = match

    @daft.method.batch(
        return_dtype=daft.DataType.from_arrow_type(pa.struct(list(MATCHES))), batch_size=256
    )
    def rows(self, key: daft.Series, image: daft.Series) -> pa.Array:
        """Return what became of each picture."""
        batch = pa.record_batch({"key": key.to_arrow(), "image": image.to_arrow()})
        return self.match(batch).to_struct_array()


if __name__ == "__main__":
    matched = Matched(Match(["fixtures/lists/demo-pdq.csv"], surface="profile_photo"))
    photos = daft.read_parquet("photos/*.parquet")
    answer = photos.select(matched.rows(photos["key"], photos["image"]).alias("answer"))
    answer.select(daft.col("answer").unnest()).write_parquet("matches")
