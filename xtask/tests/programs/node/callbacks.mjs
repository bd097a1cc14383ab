// Each call is made in the callback of the one before.
import { createRequire } from 'node:module';
import { trace } from '@opentelemetry/api';
import { getGRPCService } from '@zilliz/milvus2-sdk-node';

const grpc = createRequire(import.meta.url)('@grpc/grpc-js');
const options = { keepCase: true, longs: String, enums: String, defaults: true, oneofs: true };
const Service = getGRPCService({ serviceName: 'milvus.proto.milvus.MilvusService' }, options);
const client = new Service(new URL(process.env.MILVUS_URI).host, grpc.credentials.createInsecure());
trace.getTracer('program').startActiveSpan('program', (span) => {
  client.GetVersion({}, () => {
    client.HasCollection({ collection_name: 'nope' }, () => {
      client.ShowCollections({}, () => {
        span.end();
        client.close();
      });
    });
  });
});
