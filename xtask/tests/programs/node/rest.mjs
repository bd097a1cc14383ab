// Milvus's REST API by the SDK's HttpClient. Milvus 2.3.5 has no version 2 of it and answers 404.
import { trace } from '@opentelemetry/api';
import { HttpClient } from '@zilliz/milvus2-sdk-node';

await trace.getTracer('program').startActiveSpan('program', async (span) => {
  const client = new HttpClient({ endpoint: 'http://127.0.0.1:19530', token: 'root:Milvus' });
  const calls = [
    () => client.listCollections({ dbName: 'default' }),
    () => client.dropCollection({ collectionName: 'node_rest' }),
  ];
  for (const call of calls) {
    await call().catch((error) => console.log(error.message));
  }
  span.end();
});
