using System.Formats.Tar;
using System.Net;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text.Json;
using Gradus.Api.Tests.Jobs;
using Gradus.Tests;
using Xunit;

namespace Gradus.Api.Tests.Models;

/// <summary>A model goes out as files, in ranges, and comes back as it was.</summary>
public sealed class ExportTests(PostgresDatabase database) : IClassFixture<PostgresDatabase>, IAsyncLifetime
{
    private readonly JobLab lab = new(database);
    private RunningService service = null!;

    private HttpClient Client => service.Client;

    public async ValueTask InitializeAsync() => service = await RunningService.StartAsync(database.ConnectionString, null, $"--Gradus:StateFolder={lab.Folder}");

    public async ValueTask DisposeAsync()
    {
        await service.DisposeAsync();
        await lab.DisposeAsync();
    }

    [Fact]
    public async Task AModelIsExportedDownloadedInRangesAndImportedAgainBitForBit()
    {
        var job = await Client.PostOkAsync("/v1/models/tiny/export", """{"max_shard_size": "1MB"}""");
        Assert.Equal(("export", "tiny", "1MB"), (job.Text("stage"), job.GetProperty("options").Text("model"), job.GetProperty("options").Text("max_shard_size")));
        var id = job.Text("id");
        Assert.Empty((await Client.GetOkAsync($"/v1/jobs/{id}/files")).Data());
        await lab.UntilAsync(lab.Worker(), id, "succeeded");

        var files = (await Client.GetOkAsync($"/v1/jobs/{id}/files")).Data();
        Assert.Contains("model-00001-of-00004.safetensors", files.Select(file => file.Text("id")));
        using var tar = new MemoryStream();
        await using (var archive = new TarWriter(tar, leaveOpen: true))
        {
            foreach (var file in files)
            {
                using var response = await Client.GetAsync($"/v1/jobs/{id}/files/{file.Text("id")}", Requests.Cancel);
                var bytes = await response.Content.ReadAsByteArrayAsync(Requests.Cancel);
                Assert.Equal((HttpStatusCode.OK, "bytes", $"\"{file.Text("sha256")}\""), (response.StatusCode, response.Headers.AcceptRanges.Single(), response.Headers.ETag!.Tag));
                Assert.Equal((file.GetProperty("bytes").GetInt64(), file.Text("sha256")), (bytes.LongLength, Convert.ToHexStringLower(SHA256.HashData(bytes))));
                await archive.WriteEntryAsync(new PaxTarEntry(TarEntryType.RegularFile, "again/" + file.Text("id")) { DataStream = new MemoryStream(bytes) }, Requests.Cancel);
            }
        }

        Same("tiny", (await UploadAsync(tar.ToArray(), "application/x-tar", "name=again")).Text("id"));

        using (var deleted = await Client.DeleteAsync($"/v1/jobs/{id}/files", Requests.Cancel)) await deleted.OkAsync();
        Assert.Empty((await Client.GetOkAsync($"/v1/jobs/{id}/files")).Data());
        Assert.False(Directory.Exists(Path.Combine(lab.Folder, "jobs", id, "files")));
    }

    [Fact]
    public async Task AGgufComesInAndGoesOutWithTheSameWeights()
    {
        var first = await UploadAsync(await File.ReadAllBytesAsync(Repository("tests/Training.Tests/fixtures/gguf/tiny-q8_0.gguf"), Requests.Cancel), "application/octet-stream", "name=a%2Fb%20c");
        Assert.Equal(("gguf", "llama", "float32"), (first.GetProperty("details").GetProperty("source").Text("format"), first.Text("family"), first.Text("dtype")));
        var id = (await Client.PostOkAsync($"/v1/models/{first.Text("id")}/export", """{"format": "gguf", "dtype": "f32"}""")).Text("id");
        await lab.UntilAsync(lab.Worker(), id, "succeeded");
        var files = (await Client.GetOkAsync($"/v1/jobs/{id}/files")).Data().Select(file => file.Text("id")).ToArray();
        Assert.Equal(["README.md", "a-b-c-F32.gguf"], files);
        var second = await UploadAsync(await Client.GetByteArrayAsync($"/v1/jobs/{id}/files/a-b-c-F32.gguf", Requests.Cancel), "application/octet-stream", "name=again");
        Same(first.Text("id"), second.Text("id"));
    }

    [Fact]
    public async Task RangesAreHonouredAndNothingBesideTheFilesIsServed()
    {
        var id = (await Client.PostOkAsync("/v1/jobs", """{"stage": "export", "options": {"model": "tiny", "dtype": "bfloat16"}}""")).Text("id");
        await lab.UntilAsync(lab.Worker(), id, "succeeded");
        var path = $"/v1/jobs/{id}/files/model.safetensors";
        var whole = await Client.GetByteArrayAsync(path, Requests.Cancel);
        var tag = $"\"{Convert.ToHexStringLower(SHA256.HashData(whole))}\"";

        using (var part = await SendAsync(path, request => request.Headers.Range = new RangeHeaderValue(100, 199)))
        {
            Assert.Equal((HttpStatusCode.PartialContent, $"bytes 100-199/{whole.Length}"), (part.StatusCode, part.Content.Headers.ContentRange!.ToString()));
            Assert.Equal(whole[100..200], await part.Content.ReadAsByteArrayAsync(Requests.Cancel));
        }
        using (var rest = await SendAsync(path, request => (request.Headers.Range, request.Headers.IfRange) = (new RangeHeaderValue(whole.Length - 5, null), new RangeConditionHeaderValue(tag))))
            Assert.Equal(whole[^5..], await rest.Content.ReadAsByteArrayAsync(Requests.Cancel));
        using (var other = await SendAsync(path, request => (request.Headers.Range, request.Headers.IfRange) = (new RangeHeaderValue(0, 5), new RangeConditionHeaderValue("\"another\""))))
            Assert.Equal((HttpStatusCode.OK, whole.Length), (other.StatusCode, (await other.Content.ReadAsByteArrayAsync(Requests.Cancel)).Length));
        using (var known = await SendAsync(path, request => request.Headers.IfNoneMatch.Add(new EntityTagHeaderValue(tag)))) Assert.Equal(HttpStatusCode.NotModified, known.StatusCode);
        using (var beyond = await SendAsync(path, request => request.Headers.Range = new RangeHeaderValue(whole.Length, null)))
        {
            Assert.Equal($"bytes */{whole.Length}", beyond.Content.Headers.ContentRange!.ToString());
            Assert.Equal("out_of_range", (await beyond.ErrorAsync(416)).Text("code"));
        }
        using (var head = await SendAsync(path, request => request.Method = HttpMethod.Head))
            Assert.Equal((HttpStatusCode.OK, (long?)whole.Length, tag, 0), (head.StatusCode, head.Content.Headers.ContentLength, head.Headers.ETag!.Tag, (await head.Content.ReadAsByteArrayAsync(Requests.Cancel)).Length));
        foreach (var name in new[] { "nothing", "..%2Ffiles.json", "%2e%2e/files.json", "%2Fetc%2Fpasswd" }) await Client.GetErrorAsync($"/v1/jobs/{id}/files/{name}", 404);
    }

    [Theory]
    [InlineData("""{"format": "onnx"}""", "options.format")]
    [InlineData("""{"dtype": "q8_0"}""", "options.dtype")]
    [InlineData("""{"format": "gguf", "dtype": "float16"}""", "options.dtype")]
    [InlineData("""{"format": "gguf", "max_shard_size": "1GB"}""", "options.max_shard_size")]
    [InlineData("""{"max_shard_size": "1 potato"}""", "options.max_shard_size")]
    [InlineData("""{"max_shard_size": 3}""", "options.max_shard_size")]
    [InlineData("""{"max_shard_size": 1e300}""", "options.max_shard_size")]
    [InlineData("""{"merge": false}""", "options.merge")]
    [InlineData("""{"format": "peft", "merge": true}""", "options.merge")]
    [InlineData("""{"format": "peft"}""", "options.format")]
    [InlineData("""{"formt": "gguf"}""", "formt")]
    public async Task AWrongOptionIsNamedAndNothingIsQueued(string options, string field) => Assert.Equal(field, (await Client.PostErrorAsync("/v1/models/tiny/export", options)).Text("param"));

    [Fact]
    public async Task AnUnknownModelIsNotFound() => await Client.PostErrorAsync("/v1/models/nobody/export", "{}", 404);

    private async Task<JsonElement> UploadAsync(byte[] bytes, string type, string query)
    {
        using var content = new ByteArrayContent(bytes);
        content.Headers.ContentType = new MediaTypeHeaderValue(type);
        using var response = await Client.PostAsync("/v1/models?" + query, content, Requests.Cancel);
        return await response.OkAsync();
    }

    private void Same(string first, string second)
    {
        using var before = Gradus.Training.Model.Safetensors.Open(Path.Combine(lab.Folder, "models", first));
        using var after = Gradus.Training.Model.Safetensors.Open(Path.Combine(lab.Folder, "models", second));
        Assert.Equal(before.Names, after.Names);
        foreach (var name in before.Names)
        {
            using TorchSharp.torch.Tensor one = before.Read(name), two = after.Read(name);
            Assert.True(one.bytes.SequenceEqual(two.bytes), name);
        }
    }

    private static string Repository(string path)
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
            if (File.Exists(Path.Combine(folder.FullName, path))) return Path.Combine(folder.FullName, path);
        throw new FileNotFoundException(path);
    }

    private async Task<HttpResponseMessage> SendAsync(string path, Action<HttpRequestMessage> change)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, path);
        change(request);
        return await Client.SendAsync(request, Requests.Cancel);
    }
}
