"""A LangChain retriever under OpenInference, whose spans are never made current."""

from opentelemetry.instrumentation.grpc import GrpcInstrumentorClient
from traced import URI, tracer

tracer(GrpcInstrumentorClient())

from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from openinference.instrumentation.langchain import LangChainInstrumentor
from pymilvus import MilvusClient

LangChainInstrumentor().instrument()
client = MilvusClient(URI)


class Retriever(BaseRetriever):
    def _get_relevant_documents(self, query, *, run_manager):
        found = client.search("retriever", data=[[0.1] * 4], limit=1)
        return [Document(str(found))]


client.create_collection("retriever", dimension=4)
client.insert("retriever", [{"id": 1, "vector": [0.1] * 4}])
print(len(Retriever().invoke("what?")))
client.drop_collection("retriever")
