// A client of the JDK with its default settings: it asks for HTTP/2 by an upgrade on every request.
// Usage: java JavaClient.java URL. Prints the status and the body of a GET and of a POST, one line each.
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;

public class JavaClient {
  public static void main(String[] arguments) throws Exception {
    URI uri = URI.create(arguments[0]);
    HttpClient client = HttpClient.newHttpClient();
    HttpRequest get = HttpRequest.newBuilder(uri).build();
    HttpRequest post = HttpRequest.newBuilder(uri).POST(HttpRequest.BodyPublishers.ofString("hello")).build();
    for (HttpRequest request : new HttpRequest[] {get, get, post, post}) {
      var response = client.send(request, BodyHandlers.ofString());
      System.out.println(response.statusCode() + " " + response.version() + " " + response.body());
    }
  }
}
