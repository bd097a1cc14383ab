// Datadog's tracer beside OpenTelemetry's.
import { createRequire } from 'node:module';
const require = createRequire(import.meta.url);
require('dd-trace').init({ startupLogs: false, url: 'http://127.0.0.1:9' });
await import('./tracing.mjs');
const { trace } = await import('@opentelemetry/api');
const { MilvusClient } = await import('@zilliz/milvus2-sdk-node');

await trace.getTracer('program').startActiveSpan('program', async (span) => {
  const client = new MilvusClient({ address: process.env.MILVUS_URI });
  await client.connectPromise;
  console.log((await client.showCollections()).status.error_code);
  await client.closeConnection();
  span.end();
});
