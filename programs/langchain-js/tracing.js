// Load this file first: node --import ./tracing.js search.js
import * as callbackManager from '@langchain/core/callbacks/manager';
import { LangChainInstrumentation } from '@arizeai/openinference-instrumentation-langchain';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-grpc';
import { registerInstrumentations } from '@opentelemetry/instrumentation';
import { GrpcInstrumentation } from '@opentelemetry/instrumentation-grpc';
import { defaultResource, detectResources, envDetector } from '@opentelemetry/resources';
import { BatchSpanProcessor, NodeTracerProvider } from '@opentelemetry/sdk-trace-node';

const provider = new NodeTracerProvider({
  // OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES, which the provider doesn't read by itself.
  resource: defaultResource().merge(detectResources({ detectors: [envDetector] })),
  spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())],
});
provider.register();
process.once('beforeExit', () => provider.shutdown());

export function instrumentGrpc() {
  registerInstrumentations({ instrumentations: [new GrpcInstrumentation()] });
}

if (process.env.SETUP !== 'late') {
  instrumentGrpc();
}
if (process.env.SETUP === 'openinference') {
  // Its documentation has it so: LangChain's modules can't be patched while they load.
  new LangChainInstrumentation().manuallyInstrument(callbackManager);
}
