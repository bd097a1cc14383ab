package milvusotel;

import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptor;
import io.grpc.InternalGlobalInterceptors;
import io.grpc.MethodDescriptor;
import io.opentelemetry.api.GlobalOpenTelemetry;
import io.opentelemetry.instrumentation.grpc.v1_6.GrpcTelemetry;
import java.util.List;

/**
 * Traces the calls of a milvus-sdk-java that contains gRPC as {@code io.milvus.shaded.io.grpc},
 * which OpenTelemetry's Java agent doesn't instrument.
 *
 * <p>The build relocates {@code io.grpc} in this class and in OpenTelemetry's gRPC library.
 */
public final class MilvusGrpcTracing {
  private MilvusGrpcTracing() {}

  /** Called by {@code java -javaagent:milvus-grpc-tracing.jar}. */
  public static void premain(String arguments) {
    try {
      install();
    } catch (NoClassDefFoundError missing) {
      System.err.println(
          "milvus-grpc-tracing: calls to Milvus won't be traced: the class path has no "
              + missing.getMessage()
              + "\nhint: use it with a milvus-sdk-java that contains gRPC (2.6.22 does); where the"
              + " SDK has a class loader of its own, call milvusotel.MilvusGrpcTracing.install()"
              + " before the first client");
    }
  }

  /** Traces every client created from now on. */
  public static void install() {
    InternalGlobalInterceptors.setInterceptorsTracers(List.of(new Tracing()), List.of(), List.of());
  }

  /** Gets the global OpenTelemetry at the first call, because it may be set after install(). */
  private static final class Tracing implements ClientInterceptor {
    private static final class Stock {
      static final ClientInterceptor INTERCEPTOR =
          GrpcTelemetry.create(GlobalOpenTelemetry.get()).createClientInterceptor();
    }

    @Override
    public <Q, A> ClientCall<Q, A> interceptCall(
        MethodDescriptor<Q, A> method, CallOptions options, Channel next) {
      return Stock.INTERCEPTOR.interceptCall(method, options, next);
    }
  }
}
