// gRPC's instrumentation alone, exported over gRPC.
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-grpc';
import { registerInstrumentations } from '@opentelemetry/instrumentation';
import { GrpcInstrumentation } from '@opentelemetry/instrumentation-grpc';
import { BatchSpanProcessor, NodeTracerProvider } from '@opentelemetry/sdk-trace-node';

const exporter = new BatchSpanProcessor(new OTLPTraceExporter(), { scheduledDelayMillis: 200 });
const provider = new NodeTracerProvider({ spanProcessors: [exporter] });
provider.register();
registerInstrumentations({ instrumentations: [new GrpcInstrumentation()] });
process.on('beforeExit', async () => {
  await provider.shutdown();
  process.exit(0);
});
