// Calls that Milvus 2.3.5 doesn't know.
import { trace } from '@opentelemetry/api';
import { MilvusClient } from '@zilliz/milvus2-sdk-node';

await trace.getTracer('program').startActiveSpan('program', async (span) => {
  const client = new MilvusClient({ address: process.env.MILVUS_URI });
  await client.connectPromise;
  for (const call of [() => client.describeDatabase({ db_name: 'default' }), () => client.listPrivilegeGroups()]) {
    await call().catch((error) => console.log(error.message));
  }
  await client.closeConnection();
  span.end();
});
