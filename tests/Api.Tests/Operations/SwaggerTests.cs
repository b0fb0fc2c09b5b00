using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Xunit;

namespace Gradus.Api.Tests.Operations;

/// <summary>Swagger's examples work when they are sent as they are, and src/Api/api.http has the same.</summary>
public sealed class SwaggerTests(ApiHost host)
{
    [Fact]
    public async Task EveryExampleWorksAsItIs()
    {
        await host.SucceededRunAsync("r1-zero-tiny");
        Gradus.Training.Tasks.TinyModel.Write(Path.Combine(host.Service.StateFolder, "imports", "SmolLM2-135M-Instruct"));
        var document = await host.Client.GetOkAsync("/swagger/v1/swagger.json");
        var paths = document.GetProperty("paths").EnumerateObject().ToArray();
        Assert.True(paths.Length >= 25, $"{paths.Length} paths");
        List<string> sent = [];
        // First what makes something, then what looks at it, then what stops it, as a person would go through the page.
        foreach (var (path, method, operation) in Operations(paths).OrderBy(route => (route.Method, route.Path) switch
        {
            ("post", var text) when !text.Contains('{', StringComparison.Ordinal) => 0,
            ("get", _) => 1,
            (_, var text) when text.EndsWith("retry", StringComparison.Ordinal) => 9,
            (_, var text) => 2 + Array.FindIndex(["pause", "resume", "cancel"], verb => text.EndsWith(verb, StringComparison.Ordinal)),
        }))
        {
            Assert.False(string.IsNullOrEmpty(operation.GetProperty("summary").GetString()) || string.IsNullOrEmpty(operation.GetProperty("description").GetString()), $"{method} {path} says nothing");
            var url = path;
            var unfilled = false;
            foreach (var parameter in operation.TryGetProperty("parameters", out var list) ? list.EnumerateArray() : default)
            {
                Assert.False(string.IsNullOrEmpty(parameter.GetProperty("description").GetString()), $"{method} {path} {parameter.Text("name")}");
                if (parameter.Text("in") != "path") continue;
                // No example where trying it out would delete something.
                if (parameter.TryGetProperty("example", out var example)) url = url.Replace($"{{{parameter.Text("name")}}}", example.GetString(), StringComparison.Ordinal);
                else unfilled = true;
            }
            if (unfilled)
            {
                Assert.True(method == "delete" || path.EndsWith("/content", StringComparison.Ordinal) || path.EndsWith("/{name}", StringComparison.Ordinal), $"{method} {path} has no example");
                continue;
            }
            if (path.EndsWith("/progress", StringComparison.Ordinal)) await host.Database.Sql("update jobs set status = 'cancelled' where status = 'queued'");
            foreach (var content in Bodies(operation))
            {
                using var request = new HttpRequestMessage(new HttpMethod(method), url + (content?.Headers.ContentType?.MediaType == "application/jsonl" ? "?name=lines" : "")) { Content = content };
                using var response = await host.Client.SendAsync(request, Requests.Cancel);
                Assert.True(response.IsSuccessStatusCode, $"{method} {url} {content?.Headers.ContentType}: {(int)response.StatusCode} {await response.Content.ReadAsStringAsync(Requests.Cancel)}");
                sent.Add($"{method} {path}");
            }
            if (path.EndsWith("/progress", StringComparison.Ordinal)) await host.Database.Sql("update jobs set status = 'queued' where status = 'cancelled'");
        }
        Assert.Contains("post /v1/runs", sent);
        Assert.Equal(3, sent.Count(route => route == "post /v1/datasets"));
    }

    [Fact]
    public async Task TheRequestFileHasEveryRouteAndEveryExample()
    {
        var file = await File.ReadAllTextAsync(Find("src/Api/api.http"), Requests.Cancel);
        var document = await host.Client.GetOkAsync("/swagger/v1/swagger.json");
        foreach (var (path, method, operation) in Operations([.. document.GetProperty("paths").EnumerateObject()]))
        {
            var prefix = path.Split('{')[0];
            var suffix = path.Contains('}', StringComparison.Ordinal) ? path[(path.LastIndexOf('}') + 1)..] : "";
            Assert.True(file.Split('\n').Any(line => line.StartsWith($"{method.ToUpperInvariant()} {{{{url}}}}{prefix}", StringComparison.Ordinal) && line.Split('?')[0].TrimEnd().EndsWith(suffix, StringComparison.Ordinal)), $"api.http lacks {method} {path}");
            if (operation.TryGetProperty("requestBody", out var body) && body.GetProperty("content").TryGetProperty("application/json", out var json))
                Assert.True(file.Replace(" ", "", StringComparison.Ordinal).Contains(JsonSerializer.Serialize(json.GetProperty("example"), Gradus.Api.Operations.Wire.Options).Replace(" ", "", StringComparison.Ordinal), StringComparison.Ordinal), $"api.http has another body for {method} {path} than {json.GetProperty("example")}");
        }
    }

    [Fact]
    public async Task TheFieldsOfContractsAreDescribed()
    {
        var schemas = (await host.Client.GetOkAsync("/swagger/v1/swagger.json")).GetProperty("components").GetProperty("schemas");
        Assert.Contains("newest result", schemas.GetProperty("Model").GetProperty("properties").GetProperty("alias").Text("description"), StringComparison.Ordinal);
        Assert.Contains("draw derives", schemas.GetProperty("JobRequest").GetProperty("properties").GetProperty("seed").Text("description"), StringComparison.Ordinal);
    }

    private static IEnumerable<(string Path, string Method, JsonElement Operation)> Operations(JsonProperty[] paths) =>
        paths.SelectMany(path => path.Value.EnumerateObject().Select(method => (path.Name, method.Name, method.Value)));

    private static IEnumerable<HttpContent?> Bodies(JsonElement operation)
    {
        if (!operation.TryGetProperty("requestBody", out var body))
        {
            yield return null;
            yield break;
        }
        foreach (var content in body.GetProperty("content").EnumerateObject())
        {
            // Bytes of a model have no example.
            if (!content.Value.TryGetProperty("example", out var example)) continue;
            if (content.Name == "multipart/form-data")
            {
                yield return new MultipartFormDataContent { { new StringContent(example.Text("name")), "name" }, { new StringContent(example.Text("file")), "file", "rows.jsonl" } };
                continue;
            }
            var text = new ByteArrayContent(Encoding.UTF8.GetBytes(example.ValueKind == JsonValueKind.String ? example.GetString()! : example.GetRawText()));
            text.Headers.ContentType = new MediaTypeHeaderValue(content.Name);
            yield return text;
        }
    }

    private static string Find(string path)
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
            if (File.Exists(Path.Combine(folder.FullName, path))) return Path.Combine(folder.FullName, path);
        throw new FileNotFoundException(path);
    }
}
