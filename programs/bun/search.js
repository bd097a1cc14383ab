// Insert three rows and search them, with one span around all calls.
//
// `SETUP` chooses when Node's instrumentation of gRPC is registered:
//   late     by the program, below its imports: gRPC is loaded already
//   preload  before the program
import { trace } from '@opentelemetry/api';
import { MilvusClient } from '@zilliz/milvus2-sdk-node';

const texts = ['the cat sleeps on the sofa', 'the dog barks at night', 'rain falls on the roof'];
const collection_name = process.env.MILVUS_COLLECTION ?? 'search_js';

function embed(text) {
  const vector = new Array(8).fill(0);
  for (const character of text) vector[character.charCodeAt(0) % 8] += 1;
  return vector;
}

async function addAndSearch(client) {
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
}

if (process.env.SETUP === 'late') {
  await import('./tracing.js');
}
await trace.getTracer('search').startActiveSpan('search', async (root) => {
  const client = new MilvusClient({ address: process.env.MILVUS_URI });
  await addAndSearch(client).finally(() => client.closeConnection());
  root.end();
});
