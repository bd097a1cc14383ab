"""Insert rows and search them; `opentelemetry-instrument` adds the tracing."""

import os

from pymilvus import MilvusClient

collection = os.environ.get("MILVUS_COLLECTION", "zero_code")
client = MilvusClient(os.environ["MILVUS_URI"])
client.create_collection(collection, dimension=8, consistency_level="Strong")
client.insert(collection, [{"id": at, "vector": [0.1 * at] * 8} for at in range(3)])
print("found", client.search(collection, data=[[0.1] * 8], limit=1)[0][0]["id"])
client.drop_collection(collection)
