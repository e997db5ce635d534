"""Matches a folder of Parquet files on Spark."""

from pyspark.sql import SparkSession
from pyspark.sql.pandas.types import from_arrow_schema

from hashmatch.arrow import Match

match = Match(["fixtures/lists/demo-pdq.csv"], surface="profile_photo")

if __name__ == "__main__":
    spark = (
        SparkSession.builder.appName("match")
        # A batch is in memory as a whole: pictures are large.
        .config("spark.sql.execution.arrow.maxRecordsPerBatch", "256")
        .getOrCreate()
    )
    photos = spark.read.parquet("photos").select("key", "image")
    answers = photos.mapInArrow(match.map_iterator, from_arrow_schema(match.schema))
    answers.write.mode("overwrite").parquet("matches")
    spark.stop()
