"""What `pipelines/benchmark.py` measures: functions that return rows. Ratios are taken in one run, on the same cores."""
