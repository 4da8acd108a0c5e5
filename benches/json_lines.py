"""The windowed sums of json_lines.rs by DuckDB, Polars and ClickHouse, over a file that `keep=` has kept.

    pip install duckdb polars chdb
    python3 benches/json_lines.py events.jsonl
"""

import subprocess
import sys
import time

COLUMNS = {"user": "BIGINT", "ip": "VARCHAR", "result": "VARCHAR", "amount": "DOUBLE", "ts": "BIGINT", "agent": "VARCHAR"}


def duckdb(path, threads):
    import duckdb

    con = duckdb.connect()
    con.execute(f"SET threads={threads}")
    columns = ", ".join(f"{name}: '{ty}'" for name, ty in COLUMNS.items())
    con.execute(
        f"""COPY (SELECT user, ts // 600000 AS w, count(*) AS n, sum(amount) AS total
        FROM read_json('{path}', format='newline_delimited', columns={{{columns}}}) GROUP BY ALL) TO '/dev/null' (FORMAT json)"""
    )


def polars(path, threads):
    import polars as pl

    types = {"BIGINT": pl.Int64, "VARCHAR": pl.String, "DOUBLE": pl.Float64}
    lines = pl.scan_ndjson(path, schema={name: types[ty] for name, ty in COLUMNS.items()})
    sums = lines.group_by("user", pl.col("ts") // 600000).agg(pl.len().alias("n"), pl.col("amount").sum().alias("total"))
    sums.collect().write_ndjson("/dev/null")


def clickhouse(path, threads):
    import chdb

    types = {"BIGINT": "Int64", "VARCHAR": "String", "DOUBLE": "Float64"}
    columns = ", ".join(f"{name} {types[ty]}" for name, ty in COLUMNS.items())
    chdb.query(
        f"""SELECT user, intDiv(ts, 600000) AS w, count() AS n, sum(amount) AS total FROM file('{path}', JSONEachRow, '{columns}')
        GROUP BY user, w INTO OUTFILE '/dev/null' TRUNCATE FORMAT JSONEachRow SETTINGS max_threads={threads}"""
    )


def main():
    if len(sys.argv) == 2:
        # Each in a process of its own, because Polars reads the number of threads once.
        for engine in ("duckdb", "polars", "clickhouse"):
            for threads in ("1", "2"):
                subprocess.run([sys.executable, __file__, sys.argv[1], engine, threads], env={"POLARS_MAX_THREADS": threads}, check=False)
        return
    path, engine, threads = sys.argv[1:]
    with open(path, "rb") as file:
        lines = sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
    start = time.time()
    globals()[engine](path, int(threads))
    seconds = time.time() - start
    print(f"{engine:<10} threads={threads} {lines / seconds / 1e6:>7.2f} M lines/s  ({seconds:.2f} s)")


if __name__ == "__main__":
    main()
