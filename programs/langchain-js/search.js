// Add three texts to LangChain's vector store on Milvus and search them.
//
// `SETUP` chooses the instrumentation:
//   late           gRPC's, registered below the imports, as tutorials in one file have it
//   grpc           gRPC's, registered before gRPC is loaded
//   openinference  gRPC's, with OpenInference's spans for LangChain
import { Milvus } from '@langchain/community/vectorstores/milvus';
import { SyntheticEmbeddings } from '@langchain/core/utils/testing';
import { trace } from '@opentelemetry/api';
import { instrumentGrpc } from './tracing.js';

const texts = ['the cat sleeps on the sofa', 'the dog barks at night', 'rain falls on the roof'];

if (process.env.SETUP === 'late') {
  instrumentGrpc();
}

await trace.getTracer('langchain-js').startActiveSpan('langchain-js', async (root) => {
  const store = await Milvus.fromTexts(texts, {}, new SyntheticEmbeddings({ vectorSize: 8 }), {
    url: process.env.MILVUS_URI,
    collectionName: process.env.MILVUS_COLLECTION ?? 'langchain_js',
  });
  const [found] = await store.similaritySearch('which animal is quiet?', 1);
  console.log('found', found.pageContent);
  const [retrieved] = await store.asRetriever({ k: 1 }).invoke('which animal is loud?');
  console.log('found', retrieved.pageContent);
  await store.client.dropCollection({ collection_name: store.collectionName });
  await store.client.closeConnection();
  root.end();
});
