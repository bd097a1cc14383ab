"""Prints how many rows pymilvus inserts in a second, and how many searches it makes, each one by one and by threads.

Usage: pymilvus_rates.py URI ROWS QUERIES DIMENSION INSERTING_THREADS SEARCHING_THREADS
"""

import math
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from pymilvus import MilvusClient

uri, *numbers = sys.argv[1:]
rows, queries, dimension, inserting, searching = map(int, numbers)


def vector(row):
    return [math.sin(row * 31 + axis * 7) for axis in range(dimension)]


client = MilvusClient(uri)
client.create_collection("theirs", dimension=dimension)
data = [{"id": row, "vector": vector(row), "color": "red"} for row in range(rows)]


def insert(first):
    client.insert("theirs", data[first : first + 1000])


def settle():
    """Waits until everything that was written can be found."""
    client.search("theirs", [vector(0)], limit=10, consistency_level="Strong")


start = time.perf_counter()
for first in range(0, rows, 1000):
    insert(first)
inserted = rows / (time.perf_counter() - start)
settle()

with ThreadPoolExecutor(inserting) as pool:
    start = time.perf_counter()
    list(pool.map(insert, range(0, rows, 1000)))
    inserted_at_once = rows / (time.perf_counter() - start)
settle()

wanted = [vector(query) for query in range(queries)]
start = time.perf_counter()
for query in wanted:
    client.search("theirs", [query], limit=10, consistency_level="Eventually")
searched = queries / (time.perf_counter() - start)


def search(query):
    client.search("theirs", [query], limit=10, consistency_level="Eventually")


with ThreadPoolExecutor(searching) as pool:
    start = time.perf_counter()
    list(pool.map(search, wanted))
    searched_at_once = queries / (time.perf_counter() - start)

client.drop_collection("theirs")
print(inserted, inserted_at_once, searched, searched_at_once)
