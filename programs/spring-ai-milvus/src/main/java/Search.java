import io.micrometer.observation.ObservationRegistry;
import io.micrometer.tracing.handler.DefaultTracingObservationHandler;
import io.micrometer.tracing.otel.bridge.OtelCurrentTraceContext;
import io.micrometer.tracing.otel.bridge.OtelTracer;
import io.milvus.client.MilvusServiceClient;
import io.milvus.param.ConnectParam;
import io.milvus.param.collection.DropCollectionParam;
import io.opentelemetry.api.GlobalOpenTelemetry;
import io.opentelemetry.context.Scope;
import java.util.List;
import org.springframework.ai.document.Document;
import org.springframework.ai.embedding.AbstractEmbeddingModel;
import org.springframework.ai.embedding.Embedding;
import org.springframework.ai.embedding.EmbeddingRequest;
import org.springframework.ai.embedding.EmbeddingResponse;
import org.springframework.ai.vectorstore.milvus.MilvusVectorStore;

/**
 * Add three texts to Spring AI's vector store on Milvus and search them, traced by the Java agent.
 * {@code SETUP=observations} adds Spring AI's own spans, as Spring Boot's Actuator does with
 * micrometer-tracing-bridge-otel.
 */
public final class Search {
  public static void main(String[] args) throws Exception {
    var tracer = GlobalOpenTelemetry.getTracer("spring-ai");
    var registry = ObservationRegistry.create();
    if ("observations".equals(System.getenv("SETUP"))) {
      var bridge = new OtelTracer(tracer, new OtelCurrentTraceContext(), event -> {});
      registry.observationConfig().observationHandler(new DefaultTracingObservationHandler(bridge));
    }
    var root = tracer.spanBuilder("spring-ai").startSpan();
    try (Scope scope = root.makeCurrent()) {
      addAndSearch(registry, System.getenv().getOrDefault("MILVUS_COLLECTION", "spring_ai"));
    } finally {
      root.end();
    }
  }

  private static void addAndSearch(ObservationRegistry registry, String name) throws Exception {
    var target = ConnectParam.newBuilder().withUri(System.getenv("MILVUS_URI")).build();
    var client = new MilvusServiceClient(target);
    var builder = MilvusVectorStore.builder(client, new CharacterCounts()).embeddingDimension(8);
    builder.collectionName(name).initializeSchema(true).observationRegistry(registry);
    MilvusVectorStore store = builder.build();
    store.afterPropertiesSet(); // Creates the collection; a Spring context calls this itself.
    var texts =
        List.of("the cat sleeps on the sofa", "the dog barks at night", "rain falls on the roof");
    store.add(texts.stream().map(Document::new).toList());
    var found = store.similaritySearch("which animal is quiet?");
    System.out.println("found " + found.get(0).getText());
    client.dropCollection(DropCollectionParam.newBuilder().withCollectionName(name).build());
    client.close();
  }

  private static final class CharacterCounts extends AbstractEmbeddingModel {
    @Override
    public EmbeddingResponse call(EmbeddingRequest request) {
      var vectors = request.getInstructions().stream().map(CharacterCounts::count);
      return new EmbeddingResponse(vectors.map(vector -> new Embedding(vector, 0)).toList());
    }

    @Override
    public float[] embed(Document document) {
      return count(document.getText());
    }

    private static float[] count(String text) {
      float[] vector = new float[8];
      text.chars().forEach(c -> vector[c % 8]++);
      return vector;
    }
  }
}
