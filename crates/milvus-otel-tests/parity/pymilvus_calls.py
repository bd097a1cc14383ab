"""Makes every call below with pymilvus, and prints the results.

Usage: pymilvus_calls.py ADDRESS

The first line of the output has the version and the message descriptors. Each further line has a call's name and result.
Before each call, the script sends the call's name to the server, so that the server can assign the requests.
"""

import base64
import json
import logging
import sys

import grpc
import numpy as np
import pymilvus
from pymilvus import (
    AnnSearchRequest,
    DataType,
    Function,
    FunctionType,
    MilvusClient,
    RRFRanker,
    WeightedRanker,
)
from pymilvus.grpc_gen import milvus_pb2

address = sys.argv[1]
logging.disable(logging.CRITICAL)


def descriptors():
    files = {}

    def add(file):
        if file.name not in files:
            for dependency in file.dependencies:
                add(dependency)
            files[file.name] = file.serialized_pb

    add(milvus_pb2.DESCRIPTOR)
    # A FileDescriptorSet has the files as its field 1.
    from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

    protos = [FileDescriptorProto.FromString(file) for file in files.values()]
    return base64.b64encode(FileDescriptorSet(file=protos).SerializeToString()).decode()


def plain(value):
    """The value as JSON."""
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if isinstance(value, np.ndarray):
        return [float(number) for number in value]
    if isinstance(value, np.generic):
        return value.item()
    return value


def read_vectors(row):
    """The row with its packed vectors, which pymilvus returns as lists of one `bytes`, as lists of numbers."""
    upper_halves = np.frombuffer(row["brain"][0], np.uint16).astype(np.uint32) << 16
    numbers = {
        "bits": np.frombuffer(row["bits"][0], np.uint8),
        "half": np.frombuffer(row["half"][0], np.float16),
        "brain": upper_halves.view(np.float32),
    }
    return dict(row) | {name: column.tolist() for name, column in numbers.items()}


def hits(lists):
    return [[{"id": hit["id"], "score": hit["distance"], "fields": dict(hit["entity"])} for hit in one] for one in lists]


def pages(iterator, read):
    found = []
    while True:
        page = iterator.next()
        if len(page) == 0:
            iterator.close()
            return found
        found.append(read(page))


def every_type():
    schema = MilvusClient.create_schema(enable_dynamic_field=True, description="all types")
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("flag", DataType.BOOL)
    schema.add_field("tiny", DataType.INT8)
    schema.add_field("small", DataType.INT16, nullable=True)
    schema.add_field("middle", DataType.INT32, default_value=np.int32(7))
    schema.add_field("ratio", DataType.FLOAT)
    schema.add_field("exact", DataType.DOUBLE)
    schema.add_field("title", DataType.VARCHAR, max_length=100, is_partition_key=True)
    schema.add_field("notes", DataType.JSON)
    schema.add_field("tags", DataType.ARRAY, element_type=DataType.VARCHAR, max_capacity=4, max_length=20)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=2)
    schema.add_field("bits", DataType.BINARY_VECTOR, dim=16)
    schema.add_field("half", DataType.FLOAT16_VECTOR, dim=2)
    schema.add_field("brain", DataType.BFLOAT16_VECTOR, dim=2)
    schema.add_field("sparse", DataType.SPARSE_FLOAT_VECTOR)
    return schema


def full_text():
    schema = MilvusClient.create_schema()
    schema.add_field("id", DataType.VARCHAR, max_length=64, is_primary=True)
    schema.add_field("text", DataType.VARCHAR, max_length=1000, enable_analyzer=True)
    schema.add_field("keywords", DataType.SPARSE_FLOAT_VECTOR)
    schema.add_function(
        Function(
            name="of_text",
            function_type=FunctionType.BM25,
            input_field_names=["text"],
            output_field_names=["keywords"],
        )
    )
    return schema


def indexed(client, **options):
    params = client.prepare_index_params()
    params.add_index(**options)
    return params


def bfloat16(*numbers):
    """bfloat16 values: the upper halves of floats that they represent exactly."""
    return np.array(numbers, np.float32).view(np.uint16)[1::2].tobytes()


ROW = {
    "id": 1,
    "flag": True,
    "tiny": -3,
    "ratio": 0.5,
    "exact": 0.1,
    "title": "one",
    "notes": {"length": 90},
    "tags": ["a", "b"],
    "vector": [0.5, 0.25],
    "bits": bytes([1, 128]),
    "half": np.array([0.5, 0.25], np.float16),
    "brain": bfloat16(0.5, 0.25),
    "sparse": {3: 0.5, 70000: 0.25},
    "color": "red",
}

CALLS = {
    "connect": lambda c: MilvusClient(f"http://{address}", user="jo", password="secret", db_name="films") and None,
    "get_server_version": lambda c: c.get_server_version(),
    "has_collection": lambda c: c.has_collection("rows"),
    "list_collections": lambda c: c.list_collections(),
    "describe_collection": lambda c: {
        key: c.describe_collection("rows")[key]
        for key in ("collection_name", "collection_id", "num_shards", "aliases", "enable_dynamic_field")
    },
    "create_collection": lambda c: c.create_collection("quick", dimension=4),
    "create_collection_ip": lambda c: c.create_collection("quick", dimension=4, metric_type="IP", consistency_level="Strong"),
    "create_collection_with_every_type": lambda c: c.create_collection(
        "typed",
        schema=every_type(),
        num_shards=2,
        num_partitions=8,
        properties={"collection.ttl.seconds": "60"},
        consistency_level="Session",
    ),
    "create_collection_with_function": lambda c: c.create_collection("text", schema=full_text()),
    "drop_collection": lambda c: c.drop_collection("rows"),
    "rename_collection": lambda c: c.rename_collection("rows", "lines"),
    "alter_collection_properties": lambda c: c.alter_collection_properties("rows", {"collection.ttl.seconds": "60"}),
    "drop_collection_properties": lambda c: c.drop_collection_properties("rows", ["collection.ttl.seconds"]),
    "alter_collection_field": lambda c: c.alter_collection_field("rows", "title", {"max_length": "200"}),
    "add_collection_field": lambda c: c.add_collection_field("rows", "year", DataType.INT16, nullable=True),
    "truncate_collection": lambda c: c.truncate_collection("rows") and None,
    "get_collection_stats": lambda c: c.get_collection_stats("rows")["row_count"],
    "load_collection": lambda c: c.load_collection("rows"),
    "release_collection": lambda c: c.release_collection("rows"),
    "get_load_state": lambda c: str(c.get_load_state("rows")["state"]),
    "refresh_load": lambda c: c.refresh_load("rows") and None,
    "flush": lambda c: c.flush("rows"),
    "flush_all": lambda c: c.flush_all(),
    "compact": lambda c: c.compact("rows"),
    "get_compaction_state": lambda c: c.get_compaction_state(77),
    "create_index": lambda c: c.create_index(
        "rows", indexed(c, field_name="vector", index_name="near", index_type="HNSW", metric_type="L2", M=16)
    ),
    "list_indexes": lambda c: c.list_indexes("rows"),
    "describe_index": lambda c: {key: c.describe_index("rows", "near")[key] for key in ("index_name", "field_name", "metric_type")},
    "drop_index": lambda c: c.drop_index("rows", "near"),
    "alter_index_properties": lambda c: c.alter_index_properties("rows", "near", {"mmap.enabled": True}),
    "drop_index_properties": lambda c: c.drop_index_properties("rows", "near", ["mmap.enabled"]),
    "insert": lambda c: c.insert("rows", [{"id": 1, "vector": [0.5, 0.25], "color": "red"}])["insert_count"],
    "insert_into_partition": lambda c: c.insert("rows", [{"id": 1, "vector": [0.5, 0.25]}], partition_name="new")["insert_count"],
    "insert_every_type": lambda c: c.insert("typed", [ROW])["insert_count"],
    "upsert": lambda c: c.upsert("rows", [{"id": 1, "vector": [0.5, 0.25]}])["upsert_count"],
    "delete_ids": lambda c: c.delete("rows", ids=[1, 2])["delete_count"],
    "delete_filter": lambda c: c.delete("rows", filter="id > 5", partition_name="new")["delete_count"],
    "query": lambda c: list(c.query("rows", filter="id > 0", output_fields=["id", "vector"])),
    "query_page": lambda c: list(
        c.query("rows", filter="id > 0", output_fields=["id"], limit=3, offset=2, partition_names=["new"], consistency_level="Strong")
    ),
    "query_every_type": lambda c: [read_vectors(row) for row in c.query("typed", filter="id > 0", output_fields=["*"])],
    "query_dynamic": lambda c: [dict(row) for row in c.query("rows", filter="id > 0", output_fields=["id", "color"])],
    "query_path": lambda c: [dict(row) for row in c.query("rows", filter="id > 0", output_fields=["id", '$meta["color"]'])],
    "get": lambda c: list(c.get("rows", ids=[1, 2], output_fields=["id"])),
    "get_by_text": lambda c: list(c.get("text", ids=['a "b"'], output_fields=["id"])),
    "count": lambda c: c.query("counted", filter="", output_fields=["count(*)"])[0]["count(*)"],
    "query_iterator": lambda c: pages(c.query_iterator("rows", batch_size=2, filter="id > 0", output_fields=["id"]), list),
    "search": lambda c: hits(c.search("rows", [[0.5, 0.25]], anns_field="vector")),
    "search_two": lambda c: hits(c.search("rows", [[0.5, 0.25], [0.25, 0.5]], anns_field="vector", limit=3)),
    "search_options": lambda c: hits(
        c.search(
            "rows",
            [[0.5, 0.25]],
            anns_field="vector",
            limit=3,
            filter='color == "red"',
            output_fields=["color"],
            partition_names=["new"],
            search_params={"metric_type": "L2", "params": {"nprobe": 16}, "offset": 2},
            consistency_level="Bounded",
        )
    ),
    "search_range": lambda c: hits(
        c.search("rows", [[0.5, 0.25]], anns_field="vector", search_params={"params": {"radius": 1.5, "range_filter": 0.5}})
    ),
    "search_group_by": lambda c: hits(
        c.search("rows", [[0.5, 0.25]], anns_field="vector", group_by_field="color", group_size=2, strict_group_size=True)
    ),
    "search_sparse": lambda c: hits(c.search("typed", [{3: 0.5, 70000: 0.25}], anns_field="sparse")),
    "search_binary": lambda c: hits(c.search("typed", [bytes([1, 128])], anns_field="bits")),
    "search_float16": lambda c: hits(c.search("typed", [np.array([0.5, 0.25], np.float16)], anns_field="half")),
    "search_text": lambda c: hits(c.search("text", ["red films"], anns_field="keywords")),
    "search_iterator": lambda c: pages(
        c.search_iterator("rows", [[0.5, 0.25]], batch_size=2, anns_field="vector", output_fields=["color"]),
        lambda page: hits([page])[0],
    ),
    "hybrid_search_rrf": lambda c: hits(
        c.hybrid_search(
            "rows",
            [
                AnnSearchRequest([[0.5, 0.25]], "vector", {}, 20),
                AnnSearchRequest([[0.25, 0.5]], "vector", {"metric_type": "L2", "params": {"ef": 64}}, 5, expr="id > 0"),
            ],
            RRFRanker(60),
            limit=3,
            output_fields=["color"],
        )
    ),
    "hybrid_search_weighted": lambda c: hits(
        c.hybrid_search(
            "rows",
            [AnnSearchRequest([[0.5, 0.25]], "vector", {}, 20), AnnSearchRequest([[0.25, 0.5]], "vector", {}, 20)],
            WeightedRanker(0.25, 0.75),
            limit=3,
            partition_names=["new"],
            consistency_level="Strong",
        )
    ),
    "create_partition": lambda c: c.create_partition("rows", "new"),
    "drop_partition": lambda c: c.drop_partition("rows", "new"),
    "has_partition": lambda c: c.has_partition("rows", "new"),
    "list_partitions": lambda c: c.list_partitions("rows"),
    "load_partitions": lambda c: c.load_partitions("rows", ["new"]),
    "release_partitions": lambda c: c.release_partitions("rows", ["new"]),
    "get_partition_load_state": lambda c: str(c.get_load_state("rows", "new")["state"]),
    "get_partition_stats": lambda c: int(c.get_partition_stats("rows", "new")["row_count"]),
    "create_alias": lambda c: c.create_alias("rows", "other"),
    "drop_alias": lambda c: c.drop_alias("other"),
    "alter_alias": lambda c: c.alter_alias("rows", "other"),
    "describe_alias": lambda c: c.describe_alias("other")["collection_name"],
    "list_aliases": lambda c: c.list_aliases("rows")["aliases"],
    "create_database": lambda c: c.create_database("films"),
    "create_database_with_properties": lambda c: c.create_database("films", properties={"database.max.collections": "5"}),
    "drop_database": lambda c: c.drop_database("films"),
    "list_databases": lambda c: c.list_databases(),
    "describe_database": lambda c: c.describe_database("films")["name"],
    "alter_database_properties": lambda c: c.alter_database_properties("films", {"database.max.collections": "5"}),
    "drop_database_properties": lambda c: c.drop_database_properties("films", ["database.max.collections"]),
    "create_user": lambda c: c.create_user("jo", "a password"),
    "update_password": lambda c: c.update_password("jo", "a password", "another"),
    "drop_user": lambda c: c.drop_user("jo"),
    "list_users": lambda c: list(c.list_users()),
    "describe_user": lambda c: [c.describe_user("jo")["user_name"], list(c.describe_user("jo")["roles"])],
    "create_role": lambda c: c.create_role("reader"),
    "drop_role": lambda c: c.drop_role("reader"),
    "list_roles": lambda c: c.list_roles(),
    "describe_role": lambda c: [
        [grant[key] for key in ("object_type", "object_name", "privilege", "db_name", "grantor_name")]
        for grant in c.describe_role("reader")["privileges"]
    ],
    "grant_role": lambda c: c.grant_role("jo", "reader"),
    "revoke_role": lambda c: c.revoke_role("jo", "reader"),
    "grant_privilege": lambda c: c.grant_privilege("reader", "Collection", "Search", "rows"),
    "revoke_privilege": lambda c: c.revoke_privilege("reader", "Collection", "Search", "rows"),
    "grant_privilege_v2": lambda c: c.grant_privilege_v2("reader", "Search", "rows", "default"),
    "revoke_privilege_v2": lambda c: c.revoke_privilege_v2("reader", "Search", "rows", "default"),
    "create_privilege_group": lambda c: c.create_privilege_group("editing"),
    "drop_privilege_group": lambda c: c.drop_privilege_group("editing"),
    "list_privilege_groups": lambda c: [
        [group["privilege_group"], list(group["privileges"])] for group in c.list_privilege_groups()
    ],
    "add_privileges_to_group": lambda c: c.add_privileges_to_group("editing", ["Insert", "Delete"]),
    "remove_privileges_from_group": lambda c: c.remove_privileges_from_group("editing", ["Delete"]),
    # Last, because the client stays in that database.
    "use_database": lambda c: (c.use_database("films"), c.list_collections())[1],
}

begin = grpc.insecure_channel(address).unary_unary("/parity/Begin")
client = MilvusClient(f"http://{address}")
print(json.dumps({"version": pymilvus.__version__, "descriptors": descriptors()}))
for name, call in CALLS.items():
    begin(name.encode())
    try:
        answer = {"answer": plain(call(client))}
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps({"call": name, **answer}, default=str), flush=True)
begin(b"")
