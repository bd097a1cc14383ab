// Insert three rows and search them. run.sh starts the tracing.
import { trace } from '@opentelemetry/api';
import { MilvusClient } from '@zilliz/milvus2-sdk-node';

const texts = ['the cat sleeps on the sofa', 'the dog barks at night', 'rain falls on the roof'];
const collection_name = process.env.MILVUS_COLLECTION ?? 'node_zero_code';

function embed(text) {
  const vector = new Array(8).fill(0);
  for (const character of text) vector[character.charCodeAt(0) % 8] += 1;
  return vector;
}

async function addAndSearch() {
  const client = new MilvusClient({ address: process.env.MILVUS_URI });
  await client.createCollection({ collection_name, dimension: 8, consistency_level: 'Strong' });
  const data = texts.map((text, id) => ({ id, vector: embed(text), text }));
  await client.insert({ collection_name, data });
  const found = await client.search({
    collection_name,
    data: embed('which animal is quiet?'),
    limit: 1,
    output_fields: ['text'],
  });
  console.log('found', found.results[0].text);
  await client.dropCollection({ collection_name });
  await client.closeConnection();
}

if (process.env.SETUP === 'late') {
  await import('@opentelemetry/auto-instrumentations-node/register');
}
if (process.env.SETUP === 'root') {
  await trace.getTracer('node-zero-code').startActiveSpan('node-zero-code', async (root) => {
    await addAndSearch();
    root.end();
  });
} else {
  await addAndSearch();
}
