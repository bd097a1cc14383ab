import dev.langchain4j.data.embedding.Embedding;
import dev.langchain4j.data.segment.TextSegment;
import dev.langchain4j.model.embedding.EmbeddingModel;
import dev.langchain4j.model.output.Response;
import dev.langchain4j.store.embedding.EmbeddingSearchRequest;
import dev.langchain4j.store.embedding.milvus.MilvusEmbeddingStore;
import io.milvus.common.clientenum.ConsistencyLevelEnum;
import io.opentelemetry.api.GlobalOpenTelemetry;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.context.Scope;
import java.util.List;

/**
 * Add three texts to LangChain4j's embedding store on Milvus and search them, traced by the Java
 * agent.
 */
public final class Search {
  public static void main(String[] args) {
    Span root = GlobalOpenTelemetry.getTracer("langchain4j").spanBuilder("langchain4j").startSpan();
    try (Scope scope = root.makeCurrent()) {
      addAndSearch(System.getenv().getOrDefault("MILVUS_COLLECTION", "langchain4j"));
    } finally {
      root.end();
    }
  }

  private static void addAndSearch(String collection) {
    MilvusEmbeddingStore store =
        MilvusEmbeddingStore.builder()
            .uri(System.getenv("MILVUS_URI"))
            .collectionName(collection)
            .dimension(8)
            .consistencyLevel(ConsistencyLevelEnum.STRONG)
            .build();
    EmbeddingModel model = new CharacterCounts();
    List<TextSegment> texts =
        List.of(
            TextSegment.from("the cat sleeps on the sofa"),
            TextSegment.from("the dog barks at night"),
            TextSegment.from("rain falls on the roof"));
    store.addAll(model.embedAll(texts).content(), texts);
    Embedding question = model.embed("which animal is quiet?").content();
    var request = EmbeddingSearchRequest.builder().queryEmbedding(question).maxResults(1).build();
    System.out.println("found " + store.search(request).matches().get(0).embedded().text());
    store.dropCollection(collection);
  }

  private static final class CharacterCounts implements EmbeddingModel {
    @Override
    public Response<List<Embedding>> embedAll(List<TextSegment> segments) {
      return Response.from(segments.stream().map(CharacterCounts::count).toList());
    }

    private static Embedding count(TextSegment segment) {
      float[] vector = new float[8];
      segment.text().chars().forEach(c -> vector[c % 8]++);
      return Embedding.from(vector);
    }
  }
}
