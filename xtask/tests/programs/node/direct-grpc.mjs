// An ES module that imports gRPC itself.
import { promisify } from 'node:util';
import * as grpc from '@grpc/grpc-js';
import { trace } from '@opentelemetry/api';

const asIs = (bytes) => bytes;
const GetVersion = {
  path: '/milvus.proto.milvus.MilvusService/GetVersion',
  requestStream: false,
  responseStream: false,
  requestSerialize: asIs,
  requestDeserialize: asIs,
  responseSerialize: asIs,
  responseDeserialize: asIs,
};
const Client = grpc.makeGenericClientConstructor({ GetVersion }, 'Milvus');
const client = new Client(new URL(process.env.MILVUS_URI).host, grpc.credentials.createInsecure());
await trace.getTracer('program').startActiveSpan('program', async (span) => {
  await promisify(client.GetVersion.bind(client))(Buffer.alloc(0));
  client.close();
  span.end();
});
