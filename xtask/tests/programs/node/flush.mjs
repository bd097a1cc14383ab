// An insert right after a create, and a flush.
import { trace } from '@opentelemetry/api';
import { DataType, MilvusClient } from '@zilliz/milvus2-sdk-node';

const collection_name = 'node_flush';
await trace.getTracer('program').startActiveSpan('program', async (span) => {
  const client = new MilvusClient({ address: process.env.MILVUS_URI });
  await client.connectPromise;
  const id = { name: 'id', data_type: DataType.Int64, is_primary_key: true };
  const v = { name: 'v', data_type: DataType.FloatVector, dim: 4 };
  await client.createCollection({ collection_name, fields: [id, v] });
  await client.insert({ collection_name, data: [{ id: 1, v: [1, 2, 3, 4] }] });
  await client.flushSync({ collection_names: [collection_name] });
  await client.dropCollection({ collection_name });
  await client.closeConnection();
  span.end();
});
