using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;

namespace Gradus.Api.Demo;

/// <summary>The service as anyone sees it: JSON over HTTP, errors in its one envelope. Knows nothing of the code behind the routes.</summary>
internal sealed class GradusClient : IDisposable
{
    private readonly HttpClient http;

    /// <param name="url">Where the service listens, for example <c>http://localhost:5080</c>.</param>
    /// <param name="key">Sent as <c>Authorization: Bearer</c>; null where the service asks for none.</param>
    public GradusClient(string url, string? key, HttpMessageHandler? handler = null)
    {
        http = new HttpClient(handler ?? new SocketsHttpHandler()) { BaseAddress = new Uri(url.TrimEnd('/') + "/"), Timeout = TimeSpan.FromMinutes(5) };
        if (key is not null) http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", key);
    }

    public Task<JsonElement> GetAsync(string path, CancellationToken cancel) => SendAsync(new HttpRequestMessage(HttpMethod.Get, path), cancel);

    public Task<JsonElement> PostAsync(string path, object body, CancellationToken cancel) =>
        SendAsync(new HttpRequestMessage(HttpMethod.Post, path) { Content = new StringContent(JsonSerializer.Serialize(body), Encoding.UTF8, "application/json") }, cancel);

    /// <summary>One page of a list: its <c>data</c>.</summary>
    public async Task<IReadOnlyList<JsonElement>> ListAsync(string path, CancellationToken cancel) =>
        [.. (await GetAsync(path, cancel)).GetProperty("data").EnumerateArray()];

    public void Dispose() => http.Dispose();

    private async Task<JsonElement> SendAsync(HttpRequestMessage request, CancellationToken cancel)
    {
        using (request)
        using (var response = await http.SendAsync(request, cancel))
        {
            var text = await response.Content.ReadAsStringAsync(cancel);
            if (!response.IsSuccessStatusCode) throw new RefusedException((int)response.StatusCode, $"{request.Method} /{request.RequestUri}", text);
            return JsonElement.Parse(text);
        }
    }
}

/// <summary>The service answered with an error; the message is its own.</summary>
internal sealed class RefusedException(int status, string request, string body) : Exception($"{request} was answered {status}: {Reason(body)}")
{
    public int Status { get; } = status;

    private static string Reason(string body)
    {
        try
        {
            return JsonElement.Parse(body).GetProperty("error").GetProperty("message").GetString()!;
        }
        catch (Exception notOurs) when (notOurs is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            return body.Length > 300 ? body[..300] : body;
        }
    }
}
