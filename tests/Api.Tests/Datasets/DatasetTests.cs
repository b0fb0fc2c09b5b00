using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Xunit;

namespace Gradus.Api.Tests.Datasets;

/// <summary>Datasets come as JSON, as JSONL and as a form; a wrong line stores nothing and is named.</summary>
public sealed class DatasetTests(ApiHost host)
{
    private const string Two = "{\"prompt\":\"1+1\",\"answer\":\"2\",\"language\":\"en\"}\r\n\n{\"prompt\":\"你好 2+2\",\"answer\":\"4\"}";

    [Fact]
    public async Task ALinesFileIsStoredWithItsBytes()
    {
        using var response = await SendAsync("/v1/datasets?name=sums", "\uFEFF" + Two);
        Assert.Equal(201, (int)response.StatusCode);
        var dataset = await response.OkAsync();
        Assert.Equal(("dataset", "sums", 2), (dataset.Text("object"), dataset.Text("name"), dataset.GetProperty("row_count").GetInt32()));
        var path = $"/v1/datasets/{dataset.Text("id")}";
        Assert.Equal(path, response.Headers.Location!.ToString());
        Assert.Equal(dataset.GetRawText(), (await host.Client.GetOkAsync(path)).GetRawText());
        var first = await host.Client.GetOkAsync($"{path}/rows?limit=1");
        var second = await host.Client.GetOkAsync($"{path}/rows?limit=1&after={first.Text("last_id")}");
        Assert.Equal(["1+1", "你好 2+2"], first.Data().Concat(second.Data()).Select(row => row.GetProperty("content").Text("prompt")));
        Assert.Equal((true, false), (first.GetProperty("has_more").GetBoolean(), second.GetProperty("has_more").GetBoolean()));
        using var content = await host.Client.GetAsync($"{path}/content", Requests.Cancel);
        Assert.Equal(Encoding.UTF8.GetBytes("\uFEFF" + Two), await content.Content.ReadAsByteArrayAsync(Requests.Cancel));
        Assert.Equal(dataset.Text("id"), (await host.Client.GetOkAsync("/v1/datasets?limit=1")).Data()[0].Text("id"));
        using (var deleted = await host.Client.DeleteAsync(path, Requests.Cancel)) await deleted.OkAsync();
        await host.Client.GetErrorAsync(path, 404);
        Assert.Equal(0L, await host.Database.Sql("select count(*) from dataset_bytes where dataset_id = $1", dataset.Text("id")));
    }

    [Fact]
    public async Task AFileOfManyPiecesComesBackUnchanged()
    {
        var text = new StringBuilder();
        for (var i = 0; i < 60_000; i++) text.Append($"{{\"prompt\":\"{i} and {new string('x', 80)}\",\"completion\":\"{i}\"}}\n");
        var dataset = await (await SendAsync("/v1/datasets?name=large", text.ToString())).OkAsync();
        Assert.Equal((60_000, text.Length), (dataset.GetProperty("row_count").GetInt32(), dataset.GetProperty("byte_count").GetInt32()));
        using var content = await host.Client.GetAsync($"/v1/datasets/{dataset.Text("id")}/content", Requests.Cancel);
        Assert.True(text.ToString() == await content.Content.ReadAsStringAsync(Requests.Cancel));
        Assert.Equal("59999", (await host.Client.GetOkAsync($"/v1/datasets/{dataset.Text("id")}/rows?after=59998")).Data().Single().GetProperty("content").Text("completion"));
    }

    [Fact]
    public async Task AFormIsStored()
    {
        using var form = new MultipartFormDataContent { { new StringContent("from a form"), "name" }, { new ByteArrayContent(Encoding.UTF8.GetBytes(Two)), "file", "rows.jsonl" } };
        using var response = await host.Client.PostAsync("/v1/datasets", form, Requests.Cancel);
        var dataset = await response.OkAsync();
        Assert.Equal(("from a form", 2), (dataset.Text("name"), dataset.GetProperty("row_count").GetInt32()));
        using var unnamed = new MultipartFormDataContent { { new ByteArrayContent(Encoding.UTF8.GetBytes(Two)), "file", "rows.jsonl" } };
        using var second = await host.Client.PostAsync("/v1/datasets", unnamed, Requests.Cancel);
        Assert.Equal("rows.jsonl", (await second.OkAsync()).Text("name"));
    }

    [Theory]
    [InlineData("x", "unknown_field")]
    [InlineData("name", "missing")]
    public async Task AFormWithoutAFileOrWithAnotherPartIsRefused(string part, string code)
    {
        using var form = new MultipartFormDataContent { { new StringContent("text"), part } };
        using var response = await host.Client.PostAsync("/v1/datasets", form, Requests.Cancel);
        Assert.Equal(code, (await response.ErrorAsync(400)).Text("code"));
    }

    [Theory]
    [InlineData("""{"prompt":"a","answer":"1"}""")]
    [InlineData("""{"prompt":[{"role":"user","content":"a"}],"answer":"1"}""")]
    [InlineData("""{"prompt":"a","completion":"b"}""")]
    [InlineData("""{"prompt":[{"role":"user","content":"a"}],"completion":[{"role":"assistant","content":"b"}]}""")]
    [InlineData("""{"messages":[{"role":"system","content":"s"},{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}""")]
    [InlineData("""{"text":"a whole document"}""")]
    public async Task EveryFormOfRowIsTaken(string row)
    {
        var dataset = await host.Client.PostOkAsync("/v1/datasets", $$"""{"name":"one","rows":[{{row}}]}""");
        Assert.Equal(1, dataset.GetProperty("row_count").GetInt32());
        Assert.Equal(JsonValueKind.Null, dataset.GetProperty("byte_count").ValueKind);
    }

    [Theory]
    [InlineData("[1]", "must be a JSON object")]
    [InlineData("{\"prompt\":\"a\",", "not valid JSON: byte 14")]
    [InlineData("{\"prompt\":\"a\",\"answer\":\"1\",\"answer\":\"2\"}", "not valid JSON")]
    [InlineData("{\"prompt\":\"a\"}", "needs 'completion' (to imitate) or 'answer'")]
    [InlineData("{\"question\":\"a\",\"answer\":\"1\"}", "this one has question, answer")]
    [InlineData("{\"prompt\":\"\",\"answer\":\"1\"}", "'prompt' is empty")]
    [InlineData("{\"prompt\":3,\"answer\":\"1\"}", "'prompt' must be a text or a list of messages")]
    [InlineData("{\"prompt\":\"a\",\"answer\":[]}", "'answer' must be a text")]
    [InlineData("{\"prompt\":\"a\",\"completion\":[{\"role\":\"assistant\",\"content\":\"b\"}]}", "must both be texts or both be lists")]
    [InlineData("{\"messages\":[]}", "not empty")]
    [InlineData("{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}", "must be of the role assistant")]
    [InlineData("{\"messages\":[{\"role\":\"boss\",\"content\":\"a\"}]}", "'messages[0].role' must be one of system")]
    [InlineData("{\"messages\":[{\"role\":\"user\"}]}", "'messages[0].content' must be a text")]
    [InlineData("{\"prompt\":\"a\\u0000\",\"answer\":\"1\"}", "U+0000")]
    [InlineData("{\"prompt\":\"a\\ud800\",\"answer\":\"1\"}", "half a surrogate pair")]
    [InlineData("{\"prompt\":\"a\",\"answer\":\"1\",\"weight\":1e999}", "64-bit float")]
    [InlineData("{\"prompt\":\"a\",\r\"answer\":\"1\"}", "carriage return")]
    [InlineData("{\"prompt\":\"a\",\"completion\":\"1\"}", "where line 1 has prompt and answer")]
    public async Task AWrongLineIsNamedAndNothingIsStored(string line, string said)
    {
        var before = await host.Database.Sql("select count(*) from datasets");
        using var response = await SendAsync("/v1/datasets?name=wrong", "{\"prompt\":\"a\",\"answer\":\"1\"}\n" + line + "\n");
        var error = await response.ErrorAsync(400);
        Assert.Equal("invalid_rows", error.Text("code"));
        var wrong = Assert.Single(error.GetProperty("lines").EnumerateArray());
        Assert.Equal(2, wrong.GetProperty("line").GetInt64());
        Assert.Contains(said, wrong.Text("message"), StringComparison.Ordinal);
        Assert.Equal(before, await host.Database.Sql("select count(*) from datasets"));
        Assert.Empty(Directory.EnumerateFiles(Path.Combine(host.Service.StateFolder, "uploads")));
    }

    [Fact]
    public async Task SeveralWrongLinesAreListedUpToALimit()
    {
        var text = string.Concat(Enumerable.Range(0, 50).Select(i => i % 2 == 0 ? "{\"text\":\"a\"}\n" : "{}\n"));
        var lines = (await (await SendAsync("/v1/datasets?name=wrong", text)).ErrorAsync(400)).GetProperty("lines").EnumerateArray().Select(line => line.GetProperty("line").GetInt32()).ToArray();
        Assert.Equal(Enumerable.Range(1, 20).Select(i => 2 * i), lines);
        var rows = await host.Client.PostErrorAsync("/v1/datasets", """{"name":"wrong","rows":[{"text":"a"},{},{"text":""}]}""");
        Assert.Equal([2, 3], rows.GetProperty("lines").EnumerateArray().Select(line => line.GetProperty("line").GetInt32()));
    }

    [Fact]
    public async Task LimitsHold()
    {
        await using var service = await host.StartAsync("--Gradus:MaxUploadBytes=4096", "--Gradus:MaxRowBytes=1024", "--Gradus:MaxDatasetRows=5", "--Gradus:MaxRowDepth=4");
        Assert.Equal("too_large", (await (await SendAsync("/v1/datasets?name=x", string.Concat(Enumerable.Repeat($"{{\"text\":\"{new string('x', 990)}\"}}\n", 5)), service)).ErrorAsync(413)).Text("code"));
        Assert.Contains("longer than 1,024 bytes", (await (await SendAsync("/v1/datasets?name=x", $"{{\"text\":\"{new string('x', 3000)}\"}}\n", service)).ErrorAsync(400)).Text("message"), StringComparison.Ordinal);
        Assert.Contains("more than 5 rows", (await (await SendAsync("/v1/datasets?name=x", string.Concat(Enumerable.Repeat("{\"text\":\"a\"}\n", 6)), service)).ErrorAsync(400)).Text("message"), StringComparison.Ordinal);
        Assert.Contains("depth", (await (await SendAsync("/v1/datasets?name=x", "{\"text\":\"a\",\"x\":[[[[1]]]]}", service)).ErrorAsync(400)).Text("message"), StringComparison.Ordinal);
        Assert.Equal("missing", (await (await SendAsync("/v1/datasets?name=x", "\n\n", service)).ErrorAsync(400)).Text("code"));
        Assert.Equal("name", (await (await SendAsync("/v1/datasets", "{\"text\":\"a\"}", service)).ErrorAsync(400)).Text("param"));
        Assert.Equal(201, (int)(await SendAsync("/v1/datasets?name=x", string.Concat(Enumerable.Repeat("{\"text\":\"a\"}\n", 5)), service)).StatusCode);
    }

    [Fact]
    public async Task AnUploadsNameStandsForTheNewestOfThatName()
    {
        async Task<string> UploadAsync(string name, string completion) =>
            (await host.Client.PostOkAsync("/v1/datasets", $$$"""{"name":"{{{name}}}","rows":[{"prompt":"a","completion":"{{{completion}}}"}]}""")).Text("id");
        var older = await UploadAsync("by name", "old");
        var newer = await UploadAsync("by name", "new");
        Assert.Equal(newer, (await host.Client.GetOkAsync("/v1/datasets/by%20name")).Text("id"));
        Assert.Equal("new", (await host.Client.GetOkAsync("/v1/datasets/by%20name/rows")).Data().Single().GetProperty("content").Text("completion"));
        var job = await host.Client.PostOkAsync("/v1/jobs", """{"stage":"sft","options":{"model":"tiny","dataset":"by name"}}""");
        Assert.Equal(newer, job.GetProperty("options").Text("dataset"));
        await host.Client.PostOkAsync($"/v1/jobs/{job.Text("id")}/cancel", "");
        // An id comes before a name, and what is built in has none but its id.
        await UploadAsync(older, "newest");
        Assert.Equal(older, (await host.Client.GetOkAsync($"/v1/datasets/{older}")).Text("id"));
        await UploadAsync("running-sums-general", "mine");
        Assert.True((await host.Client.GetOkAsync("/v1/datasets/running-sums-general")).GetProperty("built_in").GetBoolean());
        await host.Client.GetErrorAsync("/v1/datasets/Running%20sums%3A%20documents", 404);
    }

    [Fact]
    public async Task ADatasetThatAJobNeedsStays()
    {
        var dataset = (await host.Client.PostOkAsync("/v1/datasets", """{"name":"needed","rows":[{"prompt":"a","completion":"b"}]}""")).Text("id");
        var job = await host.Client.PostOkAsync("/v1/jobs", $$$"""{"stage":"sft","options":{"model":"tiny","dataset":"{{{dataset}}}"}}""");
        using (var kept = await host.Client.DeleteAsync($"/v1/datasets/{dataset}", Requests.Cancel)) Assert.Contains(job.Text("id"), (await kept.ErrorAsync(409)).Text("message"), StringComparison.Ordinal);
        await host.Client.PostOkAsync($"/v1/jobs/{job.Text("id")}/cancel", "");
        using var deleted = await host.Client.DeleteAsync($"/v1/datasets/{dataset}", Requests.Cancel);
        Assert.Equal(dataset, (await deleted.OkAsync()).Text("id"));
    }

    private Task<HttpResponseMessage> SendAsync(string path, string text, RunningService? service = null)
    {
        var content = new ByteArrayContent(Encoding.UTF8.GetBytes(text));
        content.Headers.ContentType = new MediaTypeHeaderValue("application/jsonl");
        return (service?.Client ?? host.Client).PostAsync(path, content, Requests.Cancel);
    }
}
