// Index three texts with LlamaIndex's vector store on Milvus and retrieve one.
//
// `SETUP` chooses the instrumentation:
//   late  gRPC's, registered below the imports, as tutorials in one file have it
//   grpc  gRPC's, registered before gRPC is loaded
import { MilvusVectorStore } from '@llamaindex/milvus';
import { trace } from '@opentelemetry/api';
import { DataType } from '@zilliz/milvus2-sdk-node';
import * as llamaindex from 'llamaindex';
import { instrumentGrpc } from './tracing.js';

const texts = ['the cat sleeps on the sofa', 'the dog barks at night', 'rain falls on the roof'];
const collection_name = process.env.MILVUS_COLLECTION ?? 'llamaindex_ts';

class CharacterCounts extends llamaindex.BaseEmbedding {
  async getTextEmbedding(text) {
    const vector = new Array(8).fill(0);
    for (const character of text) vector[character.charCodeAt(0) % 8] += 1;
    return vector;
  }
}

/** Creates the collection, because the store's own has 1536 dimensions and eventual reads. */
async function createCollection(client) {
  const fields = [
    { name: 'id', data_type: DataType.VarChar, is_primary_key: true, max_length: 200 },
    { name: 'embedding', data_type: DataType.FloatVector, dim: 8 },
    { name: 'content', data_type: DataType.VarChar, max_length: 9000 },
    { name: 'metadata', data_type: DataType.JSON },
  ];
  await client.createCollection({ collection_name, fields, consistency_level: 'Strong' });
  await client.createIndex({ collection_name, field_name: 'embedding' });
}

if (process.env.SETUP === 'late') {
  instrumentGrpc();
}
llamaindex.Settings.embedModel = new CharacterCounts();

await trace.getTracer('llamaindex-ts').startActiveSpan('llamaindex-ts', async (root) => {
  const vectorStore = new MilvusVectorStore({
    params: { configOrAddress: process.env.MILVUS_URI },
    collection: collection_name,
  });
  await createCollection(vectorStore.client());
  const storageContext = await llamaindex.storageContextFromDefaults({ vectorStore });
  const documents = texts.map((text) => new llamaindex.Document({ text }));
  const index = await llamaindex.VectorStoreIndex.fromDocuments(documents, { storageContext });
  const retriever = index.asRetriever({ similarityTopK: 1 });
  const [found] = await retriever.retrieve({ query: 'which animal is quiet?' });
  console.log('found', found.node.text);
  await vectorStore.client().dropCollection({ collection_name });
  await vectorStore.client().closeConnection();
  root.end();
});
