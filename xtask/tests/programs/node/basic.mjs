// A collection from create to drop.
import { trace } from '@opentelemetry/api';
import { DataType, MilvusClient } from '@zilliz/milvus2-sdk-node';

const collection_name = 'node_basic';
await trace.getTracer('program').startActiveSpan('program', async (span) => {
  const client = new MilvusClient({ address: process.env.MILVUS_URI });
  await client.connectPromise;
  const id = { name: 'id', data_type: DataType.Int64, is_primary_key: true };
  const v = { name: 'v', data_type: DataType.FloatVector, dim: 4 };
  await client.createCollection({ collection_name, fields: [id, v] });
  await client.createIndex({ collection_name, field_name: 'v', index_type: 'FLAT', metric_type: 'L2' });
  await client.loadCollectionSync({ collection_name });
  await client.insert({ collection_name, data: [{ id: 1, v: [1, 2, 3, 4] }] });
  await client.search({ collection_name, data: [1, 2, 3, 4], limit: 1, consistency_level: 'Strong' });
  await client.dropCollection({ collection_name });
  await client.closeConnection();
  span.end();
});
