// Milvus in ten calls, traced: the calls and the server's work end up in one trace.
import { SpanStatusCode, trace } from '@opentelemetry/api';
import { ErrorCode, MilvusClient } from '@zilliz/milvus2-sdk-node';

const address = process.env.MILVUS_URI || 'http://localhost:19530';
const token = process.env.MILVUS_TOKEN;
const collection_name = process.env.MILVUS_COLLECTION || 'quick_setup';
const dimension = 5;
const timeout = 30_000; // Milliseconds for one call.

/** Throws an error unless the call succeeded: this client returns failures as a status. */
function check(status) {
  if (status.error_code !== ErrorCode.SUCCESS) {
    throw new Error(`${status.error_code}: ${status.reason}`);
  }
}

async function quickSetup(client) {
  await client.connectPromise;
  console.log(`connected to ${address}`);

  const exists = await client.hasCollection({ collection_name });
  check(exists.status);
  if (exists.value) {
    check(await client.dropCollection({ collection_name }));
    console.log(`dropped the ${collection_name} that was there`);
  }

  // This creates the index and loads the collection, too. With Strong consistency, the search below
  // sees the rows inserted just before it. The client ignores that setting in search().
  check(
    await client.createCollection({
      collection_name,
      dimension,
      metric_type: 'COSINE',
      consistency_level: 'Strong',
    }),
  );
  console.log(`created ${collection_name}`);

  const load = await client.getLoadState({ collection_name });
  check(load.status);
  console.log(`load state: ${load.state}`);

  const rows = Array.from({ length: 10 }, (_, i) => ({
    id: i,
    vector: Array.from({ length: dimension }, (_, d) => (i + d) / 10),
    color: ['red', 'green', 'blue'][i % 3],
  }));
  const inserted = await client.insert({ collection_name, data: rows });
  check(inserted.status);
  if (Number(inserted.insert_cnt) !== 10) {
    throw new Error(`inserted ${inserted.insert_cnt} rows instead of 10`);
  }
  console.log(`inserted ${inserted.insert_cnt} rows`);

  const found = await client.search({ collection_name, data: [0.1, 0.2, 0.3, 0.4, 0.5], limit: 3 });
  check(found.status);
  if (found.results.length !== 3) {
    throw new Error(`found ${found.results.length} rows instead of 3`);
  }
  console.log(`found ids ${found.results.map((hit) => hit.id).join(', ')}`);

  check(await client.dropCollection({ collection_name }));
  console.log(`dropped ${collection_name}`);
}

await trace.getTracer('quick_setup').startActiveSpan('test_milvus_otel', async (root) => {
  try {
    const client = new MilvusClient({ address, token, timeout });
    await quickSetup(client).finally(() => client.closeConnection());
  } catch (error) {
    root.recordException(error);
    root.setStatus({ code: SpanStatusCode.ERROR, message: error.message });
    console.error(`failed: ${error.message}`);
    process.exitCode = 1;
  }
  root.end();
  console.log(`trace_id=${root.spanContext().traceId}`);
});
