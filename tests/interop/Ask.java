// Asks a question about an image with the JDK's own HTTP client as it comes: it offers HTTP/2 with its POST.
// java Ask.java URL IMAGE QUESTION
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;

public class Ask {
  public static void main(String[] arguments) throws Exception {
    String image = Base64.getEncoder().encodeToString(Files.readAllBytes(Path.of(arguments[1])));
    String body = "{\"image\": \"" + image + "\", \"question\": \"" + arguments[2] + "\"}";
    HttpRequest request =
        HttpRequest.newBuilder(URI.create(arguments[0] + "/v1/answer"))
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(body))
            .build();
    HttpResponse<String> reply =
        HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
    System.out.println(reply.statusCode());
    System.out.println(reply.body());
  }
}
