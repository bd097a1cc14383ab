// Milvus's REST API by the SDK's HttpClient.
import { trace } from '@opentelemetry/api';
import { HttpClient } from '@zilliz/milvus2-sdk-node';

await trace.getTracer('program').startActiveSpan('program', async (span) => {
  const client = new HttpClient({ endpoint: 'http://127.0.0.1:19530', token: 'root:Milvus' });
  await client.listCollections({ dbName: 'default' });
  await client.createCollection({ collectionName: 'node_rest', dimension: 4, metricType: 'L2' });
  await client.dropCollection({ collectionName: 'node_rest' });
  span.end();
});
