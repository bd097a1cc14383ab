import { registerInstrumentations } from '@opentelemetry/instrumentation';
import { GrpcInstrumentation } from '@opentelemetry/instrumentation-grpc';

registerInstrumentations({ instrumentations: [new GrpcInstrumentation()] });
