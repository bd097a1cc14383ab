// A client on a port where nothing listens.
import { trace } from '@opentelemetry/api';
import { MilvusClient } from '@zilliz/milvus2-sdk-node';

await trace.getTracer('program').startActiveSpan('program', async (span) => {
  const client = new MilvusClient({ address: '127.0.0.1:1', timeout: 3000 });
  await client.connectPromise.catch((error) => console.log(error.message));
  await client.showCollections().catch((error) => console.log(error.message));
  span.end();
});
